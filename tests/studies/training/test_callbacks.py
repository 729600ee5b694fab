"""Keras callbacks in trials: their hooks, their logs, and what goes through `model.fit`."""

from dataclasses import replace
from functools import partial

import keras
import numpy as np
import pytest

from lrrt import Loops
from lrrt.optimizers import START_LR
from pipeline.digits_example import build_model
from studies import OptimizerRange, OptunaStudy, SearchSpace, StopTraining, Trainer, TrialConfig, TrialState
from studies.training.momentum import rates_and_momenta
from tests.studies.recording import EPOCHS, NUM_STEPS, make_loops

CONFIG = TrialConfig("adam", "triangular", 0.01, 32, (("num_cycles", 2.0),))
Callback = keras.callbacks.Callback


class Journal(Callback):
    """Writes down every hook at epochs, and what the model's weights give just then."""

    def __init__(self, journal, data=None):
        super().__init__()
        self.journal, self.data = journal, data

    def on_train_begin(self, logs=None):
        self.journal.append(("train begins", self.params["epochs"], self.params["steps"]))

    def on_epoch_begin(self, epoch, logs=None):
        self.journal.append(("epoch begins", epoch))

    def on_test_begin(self, logs=None):
        self.journal.append(("validation begins",))

    def on_test_end(self, logs=None):
        self.journal.append(("validation ends",))

    def on_epoch_end(self, epoch, logs=None):
        shown = self.model.evaluate(*self.data, verbose=0, return_dict=True) if self.data else {}
        self.journal.append(("epoch ends", epoch, logs, shown))

    def on_train_end(self, logs=None):
        self.journal.append(("train ends",))


class AtBatches(Callback):
    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append((batch, logs["loss"], float(self.model.optimizer.learning_rate)))


def trainer_with(loops, *makers, epochs=2, **options):
    return Trainer(loops, epochs=epochs, patience=None, callbacks=lambda: [make() for make in makers], **options)


def test_hooks_at_epochs_are_called_around_the_compiled_loop_with_true_logs(loops, digits):
    journal, notes = [], []
    trained = trainer_with(loops, partial(Journal, journal, digits["validation"]), on_note=notes.append).train(CONFIG)

    epoch = ["epoch begins", "validation begins", "validation ends", "epoch ends"]
    assert [entry[0] for entry in journal] == ["train begins", *epoch, *epoch, "train ends"]
    assert journal[0] == ("train begins", 2, loops.batches.num_batches)
    ends = [entry for entry in journal if entry[0] == "epoch ends"]
    assert [number for _, number, *_ in ends] == [0, 1]
    for (_, number, logs, shown), loss, val_loss in zip(
        ends, trained.result.train_losses, trained.result.val_losses, strict=True
    ):
        assert (logs["loss"], logs["val_loss"]) == (loss, val_loss), number
        assert logs["val_loss"] == pytest.approx(shown["loss"], rel=1e-5)
        assert logs["val_accuracy"] == pytest.approx(shown["accuracy"], rel=1e-5)
    assert notes == []


@pytest.mark.long
@pytest.mark.parametrize("others", [[], [partial(AtBatches, [])]], ids=["in the compiled loop", "through fit"])
def test_logs_have_the_metrics_that_fit_shows(others, loops, digits):
    """Equal weights, optimizer and order of the data, epoch after epoch; validation lies between them."""
    journal, (x, y) = [], digits["train"]
    trainer_with(loops, partial(Journal, journal), *others, epochs=2).train(CONFIG)
    logs = [entry[2] for entry in journal if entry[0] == "epoch ends"]

    num_batches, rng, model = loops.batches.num_batches, np.random.default_rng(0), build_model()
    for variable, value in zip(model.variables, loops.initial_weights(0), strict=True):
        variable.assign(value)
    model.compile(CONFIG.optimizer(num_steps=2 * num_batches), model.loss, metrics=["accuracy"])
    for shown in logs:
        order = np.asarray(loops.batches.plan(num_batches, rng)[0])
        history = model.fit(x[order], y[order], batch_size=32, shuffle=False, verbose=0).history
        assert shown["accuracy"] == pytest.approx(history["accuracy"][0], rel=1e-6)
        assert shown["loss"] == pytest.approx(history["loss"][0], rel=1e-4)


def test_a_trial_with_callbacks_that_only_look_shows_what_one_without_shows(loops):
    with_them = trainer_with(loops, partial(Journal, [])).train(CONFIG).result
    without = Trainer(loops, epochs=2, patience=None).train(CONFIG).result
    assert (with_them.train_losses, with_them.val_losses) == (without.train_losses, without.val_losses)


def test_a_callback_reads_the_rate_of_the_step_to_come(loops):
    seen = []

    class Reader(Callback):
        def on_train_begin(self, logs=None):
            seen.append(float(self.model.optimizer.learning_rate))

        def on_epoch_begin(self, epoch, logs=None):
            seen.append(float(self.model.optimizer.learning_rate))

    trainer_with(loops, Reader).train(CONFIG)

    rates, _ = rates_and_momenta(CONFIG, loops, 2)
    assert seen == pytest.approx([rates[0][0], rates[0][0], rates[1][0]])


def test_each_trial_has_fresh_callbacks_made_for_its_config(loops):
    made = []

    def callbacks(config):
        made.append(config)
        return [keras.callbacks.EarlyStopping(monitor="val_accuracy", mode="max", min_delta=2.0)]

    trainer = Trainer(loops, epochs=4, patience=None, callbacks=callbacks)
    first, second = (trainer.train(CONFIG).result for _ in range(2))

    assert made[2:] == [CONFIG, CONFIG]
    assert [len(first.val_losses), len(second.val_losses)] == [2, 2]
    assert (first.state, first.epochs_saved) == (TrialState.COMPLETED, 2)


def test_a_callback_that_ends_trainings_at_nan_needs_no_batches(loops):
    notes = []
    result = trainer_with(loops, keras.callbacks.TerminateOnNaN, on_note=notes.append).train(
        TrialConfig("sgd", "fixed", 1e30, 32)
    )
    assert (result.result.state, notes) == (TrialState.DIVERGED, [])


@pytest.mark.long
@pytest.mark.parametrize("momentum", [None, 0.8])
def test_a_model_that_a_callback_saved_after_an_epoch_can_be_loaded(momentum, loops, digits, tmp_path):
    config = TrialConfig("adam", "fixed", 0.01, 32, momentum=momentum)
    saver = partial(keras.callbacks.ModelCheckpoint, str(tmp_path / "{epoch}.keras"))
    result = trainer_with(loops, saver).train(config).result
    model = keras.models.load_model(tmp_path / "2.keras")

    assert model.evaluate(*digits["validation"], verbose=0)[0] == pytest.approx(result.val_losses[1], rel=1e-5)
    assert model.optimizer.beta_1 == pytest.approx(momentum or 0.9)


@pytest.mark.long
def test_hooks_at_batches_go_through_fit_with_the_same_rates_and_losses(loops):
    seen, notes = [], []
    trainer = trainer_with(loops, partial(AtBatches, seen), on_note=notes.append)
    trained = trainer.train(CONFIG)
    trainer.train(CONFIG)
    compiled = Trainer(loops, epochs=2, patience=None).train(CONFIG)
    steps = loops.batches.num_batches

    assert trained.result.train_losses == pytest.approx(compiled.result.train_losses, rel=1e-4)
    assert trained.result.val_losses == pytest.approx(compiled.result.val_losses, rel=1e-3)
    assert trained.result.num_steps == compiled.result.num_steps
    assert [batch for batch, *_ in seen[: 2 * steps]] == [*range(steps)] * 2
    np.testing.assert_allclose([rate for *_, rate in seen[: 2 * steps]], CONFIG.learning_rates(2 * steps), rtol=1e-6)
    assert notes == ["trials go through model.fit, which takes many times longer: a callback has hooks at every batch"]


@pytest.mark.long
def test_momentum_and_losses_of_fit_are_those_of_the_loop_step_by_step():
    config = TrialConfig("momentum", "one_cycle", 0.1, 2)
    compiled, fitted = (Trainer(make_loops(), epochs=EPOCHS, patience=None, callbacks=callbacks) for callbacks in (
        None, lambda: [AtBatches([])]
    ))  # fmt: skip
    results = [trainer.train(config).result for trainer in (compiled, fitted)]
    seen = [np.asarray(trainer.cache.loop_of(config).model.seen) for trainer in (compiled, fitted)]

    assert len(seen[0]) == NUM_STEPS
    np.testing.assert_allclose(seen[1], seen[0], rtol=1e-5)
    assert results[1].train_losses == pytest.approx(results[0].train_losses, rel=1e-5)


class NotTraceable(keras.Sequential):
    def train_step(self, data):
        logs = super().train_step(data)
        return {name: np.float32(value.numpy()) for name, value in logs.items()}


def not_traceable(run_eagerly):
    def build():
        model = NotTraceable(build_model().layers)
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=run_eagerly)
        return model

    return build


@pytest.mark.long
@pytest.mark.parametrize(
    ("run_eagerly", "reason"),
    [(True, "the model was compiled with run_eagerly=True"), (False, "the model's train_step cannot run in a graph")],
)
def test_a_model_that_cannot_be_compiled_goes_through_fit(run_eagerly, reason, digits):
    (x, y), validation, notes = digits["train"], digits["validation"], []
    data = x[:96], y[:96]
    loops = Loops(not_traceable(run_eagerly), data, optimizers=["sgd"], validation_data=validation)
    plain = Loops(build_model, data, optimizers=["sgd"], validation_data=validation)
    config = TrialConfig("sgd", "exponential", 0.2, 32)
    eager, compiled = (Trainer(found, epochs=1, on_note=notes.append).train(config).result for found in (loops, plain))

    assert eager.train_losses == pytest.approx(compiled.train_losses, rel=1e-4)
    assert eager.val_losses == pytest.approx(compiled.val_losses, rel=1e-3)
    assert len(notes) == 1
    assert reason in notes[0]


def test_a_diverging_trial_ends_at_once_in_fit_too(loops):
    seen = []
    result = trainer_with(loops, partial(AtBatches, seen)).train(TrialConfig("sgd", "fixed", 1e30, 32)).result

    assert (result.state, len(result.train_losses)) == (TrialState.DIVERGED, 1)
    assert result.num_steps == len(seen) < 34


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (keras.callbacks.ReduceLROnPlateau(), "the rate is the trial's schedule's alone, got ReduceLROnPlateau"),
        (keras.callbacks.LearningRateScheduler(lambda epoch: 0.1), "got LearningRateScheduler. Leave it out"),
        (keras.callbacks.BackupAndRestore("x"), "by checkpoints of its own, got BackupAndRestore"),
    ],
)
def test_a_callback_that_does_what_the_trial_does_is_refused_at_once(callback, message, loops):
    with pytest.raises(ValueError, match=message):
        trainer_with(loops, lambda: callback)


class SetsRate(Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.optimizer.learning_rate = 0.5


class SetsRateAtBatches(Callback):
    def on_train_batch_begin(self, batch, logs=None):
        self.model.optimizer.learning_rate = 0.5


@pytest.mark.parametrize("callback", [SetsRate, SetsRateAtBatches])
def test_a_callback_that_sets_the_rate_by_itself_is_refused(callback, loops):
    with pytest.raises(ValueError, match=r"must leave the learning rate to the trial's schedule, .* to 0.5"):
        trainer_with(loops, callback).train(CONFIG)


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        (lambda: "EarlyStopping", "a list of fresh keras.callbacks.Callback, got one that returns 'EarlyStopping'"),
        (
            lambda config, loops: [],
            "must take no argument, or one .a trial's config., got one that needs config, loops",
        ),
    ],
)
def test_a_function_that_makes_no_callbacks_is_refused(callbacks, message, loops):
    with pytest.raises(TypeError, match=message):
        Trainer(loops, epochs=1, callbacks=callbacks)


@pytest.mark.parametrize("callback", [keras.callbacks.EarlyStopping(patience=0), AtBatches([])])
def test_a_function_that_makes_the_same_callback_twice_is_refused_at_once(callback, loops):
    """One that has stopped its trial would stop the next after one epoch, too."""
    with pytest.raises(
        ValueError, match=r"must make new callbacks for each trial, .*, got one \w+ twice. Make it inside"
    ):
        Trainer(loops, epochs=2, callbacks=lambda: [callback])


def test_a_callback_that_comes_back_later_fails_its_trial_alone(loops):
    made = {}

    def callbacks(config):
        stored = made.setdefault(config.lr, Journal([]))
        return [Journal([]) if config.lr == START_LR else stored]

    trainer = Trainer(loops, epochs=1, callbacks=callbacks)
    trainer.train(CONFIG)
    trainer.with_seed(1).train(replace(CONFIG, lr=0.02))
    with pytest.raises(ValueError, match="must make new callbacks for each trial"):
        trainer.with_seed(2).train(CONFIG)


def test_a_loop_tells_no_callback_of_a_trial_that_has_ended(loops):
    seen = []
    trainer = trainer_with(loops, partial(AtBatches, seen), epochs=1)
    trainer.train(CONFIG)
    num_batches = len(seen)
    loops.through_fit("adam", 32).train([0.01, 0.01], np.random.default_rng(0))

    assert len(seen) == num_batches == loops.batches.num_batches


def test_a_callback_that_raises_fails_its_trial_alone(loops):
    class Brittle(Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise OSError("no server")

    def callbacks(config):
        return [Brittle()] if config.optimizer_name == "adam" else []

    space = SearchSpace((OptimizerRange("sgd", 1e-2, 1.0, 0.2), OptimizerRange("adam", 1e-4, 1e-2, 2e-3)))
    sgd, adam = OptunaStudy(space).run(Trainer(loops, epochs=1, callbacks=callbacks), num_trials=2)

    assert sgd.state is TrialState.COMPLETED
    assert (adam.state, adam.error) == (TrialState.FAILED, "OSError: no server")


def test_an_interrupted_trial_with_callbacks_begins_again(loops):
    kept, notes, journal = [], [], []

    def stop(ended):
        kept.append(ended.checkpoint())
        raise StopTraining

    trainer = Trainer(loops, epochs=2, callbacks=lambda: [Journal(journal)], on_note=notes.append)
    with pytest.raises(StopTraining):
        trainer.train(CONFIG, on_epoch=stop)
    journal.clear()
    trainer.train(CONFIG, resume=kept[0])

    assert [entry[1] for entry in journal if entry[0] == "epoch ends"] == [0, 1]
    assert notes == ["a trial that was interrupted begins again, because the memory of its callbacks is not stored"]
