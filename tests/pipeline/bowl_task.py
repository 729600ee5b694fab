"""A task without TensorFlow for whole stages: its range tests and trials descend the bowl of the tests of studies."""

from dataclasses import dataclass, replace

import numpy as np

from lrrt import Ramp, RangeCurve, RangeTestResult, find_bounds
from lrrt.range_result import Case
from pipeline.data.data_use import DataUse
from pipeline.data.loaded_task import Task
from pipeline.run import Run
from pipeline.task.fingerprints import TaskPrint, source_of
from pipeline.workers.local import LocalWorkers
from studies import Evaluation
from tests.starter import STARTER
from tests.studies.bowl import CURVATURE, Bowl

DATA_USE = DataUse()
BOWL = Task(build_model=None, train=(), validation=())


def bowl_run(config, folder, **options):
    """Return a run in a folder, whose task is the bowl."""
    run = Run.make(config, folder / "out", folder / "state", **options)
    return replace(run, prepare=prepare_bowl)


def prepare_bowl(config, stopper, on_note, *, epoch_s=0.0):
    """Stand in for `pipeline.task.preparation.prepare`."""
    return PreparedBowl(TaskPrint({"train": {"x": 1}}, {"curvature": CURVATURE}, (), source_of(config)), epoch_s)


@dataclass(frozen=True)
class BowlWorkers(LocalWorkers):
    """Processes that run `lrrt worker` on the bowl, each of whose epochs takes a while."""

    def _start(self, command, log, environ):
        _, _, _, *words = command  # without Python and our package
        return STARTER.start(words, program=WORKER, output=log, environ=environ)


WORKER = """
from dataclasses import replace
from functools import partial
from pipeline import cli, run
from tests.pipeline.bowl_task import prepare_bowl

make = run.Run.make
run.Run.make = lambda *values: replace(make(*values), prepare=partial(prepare_bowl, epoch_s=0.02))
cli.main()
"""


@dataclass(frozen=True)
class PreparedBowl:
    """What a stage asks of a task, without folds."""

    known_by: TaskPrint
    epoch_s: float = 0.0
    task: Task = BOWL
    data_use: DataUse = DATA_USE

    def range_test(self, config, optimizer, watcher):
        test, seed = config.range_test, config.study.seed
        ramp = Ramp(test.start_lr, test.end_lr, test.num_steps, test.spacing)
        curves = tuple(_curve(ramp, seed + number) for number in range(test.repeats))
        bounds, case = (
            find_bounds(curves, optimizer=optimizer),
            Case(optimizer, optimizer, config.tested_batch_sizes[0]),
        )
        watcher.on_case_begin(optimizer)
        watcher.on_case_end(optimizer, bounds)
        return RangeTestResult({optimizer: curves}, {optimizer: bounds}, {optimizer: case}, ramp, seed)

    def trainer(self, config, on_note):
        return StageBowl(epochs=config.study.epochs, epoch_s=self.epoch_s)

    def scorer(self, config, trainer, on_note):
        return trainer

    def evaluate(self, trainer, model, result):
        return Evaluation(result.score, result.score, 0.0, has_penalty=False, constant=None)

    def fold_trainers(self, config, on_note):
        return ()


class StageBowl(Bowl):
    """A bowl whose trials leave weights, and a model that can be saved."""

    def with_seed(self, seed):
        return self

    def train(self, config, **options):
        trained = super().train(config, **options)
        return replace(trained, best_weights=[np.array([trained.result.score])])

    def as_trained(self, result, weights):
        return _model(weights)


def _model(weights):
    """Return a real model of one weight, since results save and load it."""
    import keras

    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile("sgd", "mse")
    model.set_weights([np.reshape(weights[0], (1, 1))])
    return model


def _curve(ramp, seed):
    """Descend once, each step at the ramp's next rate, until the loss is ten times what it was."""
    lrs, losses, x = [], [], 1.0
    for lr in ramp.rates():
        lrs.append(float(lr))
        losses.append(CURVATURE / 2 * x * x)
        if losses[-1] > 10 * CURVATURE / 2:
            break
        x *= 1 - lr * CURVATURE
    return RangeCurve(tuple(lrs), tuple(losses), seed=seed)
