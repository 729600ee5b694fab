"""Say in words whether XLA or TensorFlow's graph trains the trials of a stage, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lrrt import Loops
from lrrt.jit_choice import GAIN, reason_for_graph
from lrrt.training_loop import TrainingLoop
from pipeline.config.tables import StageConfig
from studies.training.jit_chooser import trials_a_kind

ALL = "all trials"


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
                found = f"TensorFlow's graph: {reason}" if reason else f"XLA, if its steps are then {GAIN} times faster"
                yield f"{kind} are trained by {found}"


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
