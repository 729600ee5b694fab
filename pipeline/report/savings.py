"""Say in words what saves training: trials cut at marks of their schedules, steps compiled by XLA; planned and done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from lrrt import Loops
from lrrt.jit_choice import GAIN, reason_for_graph
from lrrt.training_loop import TrainingLoop
from pipeline.config.study_table import StudyConfig
from pipeline.config.tables import StageConfig
from pipeline.results.summary_file import Cuts
from studies import TrialConfig, TrialResult, TrialState
from studies.judging.halving import HYPERBAND, fewest_that_go_on, rungs
from studies.schedules.marks import marks
from studies.training.jit_chooser import trials_a_kind

ALL = "all trials"


def planned_cuts(study: StudyConfig) -> str | None:
    """Return a sentence on what successive halving cuts at most; None if the study does not halve.

    The trials are taken to be spread evenly over the schedules, with the default parameters of each.
    """
    if study.prunes != HYPERBAND:
        return None
    num_cut, saved, places = 0, 0, []
    for index, name in enumerate(study.schedules):
        num_trials = len(range(index, study.num_trials, len(study.schedules)))
        ends = [one.epoch for one in rungs(TrialConfig("sgd", name, 1.0, 1), study.epochs)]
        left = (num_trials, *fewest_that_go_on(num_trials, len(ends)))
        num_cut += left[0] - left[-1]
        saved += sum((left[at] - left[at + 1]) * (study.epochs - epoch) for at, epoch in enumerate(ends))
        places.append(f"{name} at epoch {' and '.join(map(str, ends))}" if ends else f"{name} never")
    share = saved / (study.num_trials * study.epochs)
    return (
        f'prunes = "{HYPERBAND}" can cut {num_cut} of {study.num_trials} trials and save {share:.0%} of their steps at '
        f"most, if each schedule has as many trials: of {study.epochs} epochs, {', '.join(places)}"
    )


def cuts_of(trials: Sequence[TrialResult]) -> Cuts:
    """Return how many trials reached a mark of their schedule before their end, how many were cut, the steps saved."""
    cut = [trial for trial in trials if trial.state is TrialState.PRUNED]
    return Cuts(
        could_cut=sum(trial.state is TrialState.PRUNED or _reached_a_mark(trial) for trial in trials),
        cut=len(cut),
        steps_saved=round(sum(trial.epochs_saved * trial.num_steps / max(1, len(trial.train_losses)) for trial in cut)),
    )


def _reached_a_mark(trial: TrialResult) -> bool:
    config = trial.config
    ends = marks(config.schedule, dict(config.schedule_parameters), max(1, trial.planned_epochs))
    return any(mark.epoch <= len(trial.val_losses) for mark in ends)


def planned_jit(config: StageConfig, loops: Loops, *, differ: bool) -> Iterator[str]:
    """Say what is going to train the trials of each optimizer and batch size, as far as it is known before.

    Args:
        config: of the stage.
        loops: of the model with its default hyperparameters.
        differ: whether the models of the trials differ, so that each is compiled for itself.
    """
    study, optimizers = config.study, config.range_test.optimizers
    if study.jit != "auto":
        yield "XLA trains what it can compile (jit = true)" if study.jit else "TensorFlow's graph trains (jit = false)"
        return
    num_trials = 1 if differ else trials_a_kind(study.num_trials, len(optimizers), len(study.batch_sizes))
    for optimizer in optimizers:
        for size in study.batch_sizes:
            loop = loops.get(optimizer, size)
            if isinstance(loop, TrainingLoop):
                num_steps = study.epochs * loops.num_batches(size) * num_trials
                reason = reason_for_graph(loop, loops.initial_weights(0), num_steps)
                kind = f"trials of {optimizer} in batches of {size}"
                program = (
                    f"TensorFlow's graph, without XLA: {reason}"
                    if reason
                    else f"XLA, if its steps are then {GAIN} times faster"
                )
                yield f"{kind} are trained by {program}"


def used_jit(config: StageConfig, uses_xla: Mapping[str, bool]) -> Iterator[str]:
    """Say what trained the trials of a study, by the choices that it stored."""
    if config.study.jit != "auto":
        yield (
            "XLA trained what it could compile." if config.study.jit else "TensorFlow's graph trained, as jit = false."
        )
        return
    compiled = [kind for kind, is_compiled in uses_xla.items() if is_compiled]
    in_graph = [kind for kind in uses_xla if kind not in compiled]
    if compiled:
        kinds = "; ".join(compiled) if in_graph else ALL
        yield f"XLA trained {kinds}: its steps were measured to be {GAIN} times faster at least."
    if in_graph:
        kinds = "; ".join(in_graph) if compiled else ALL
        yield f"TensorFlow's graph trained {kinds}: XLA would not have saved what it takes to compile."
