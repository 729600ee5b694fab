"""Choose whether XLA trains a loop: by steps that are measured both ways, against those that are planned."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from lrrt.variables import Values

if TYPE_CHECKING:
    from lrrt.training_loop import TrainingLoop

Jit = bool | Literal["auto"]
GAIN = 1.3  # XLA must be so many times faster: less is within what steps differ by from one measurement to the next
HOPE = 5.0  # the most that it was seen to gain on a CPU, for an LSTM; three times for dense layers
LEAST_STEPS = 5_000  # fewer planned steps never pay what compiling takes
LEAST_S = 15.0  # ... nor does less time in TensorFlow's graph, in which XLA compiles some small models
COMPILES = 18.0  # times as long as the graph took to trace, with the validation of an epoch
MEASURED_S = 0.2  # of steps in TensorFlow's graph
MEASURED_LR = 1e-5
# In the names of TensorFlow's operations that XLA makes several times slower on a CPU. It also draws other numbers.
SLOW_ON_CPU = ("Conv", "StatelessRandom")


@dataclass(frozen=True, slots=True)
class JitChoice:
    """Whether XLA trains a loop, and why, in words; "" if that needs none."""

    uses_xla: bool
    reason: str = ""


def check_jit(jit: object) -> None:
    """Refuse what is no way to train.

    Raises:
        ValueError: saying so.
    """
    if not isinstance(jit, bool) and jit != "auto":
        raise ValueError(f'`jit` must be True, False or "auto", got {jit!r:.80}.')


def choose(loop: TrainingLoop, jit: Jit, weights: Values, planned_steps: int) -> JitChoice:
    """Choose whether XLA trains a loop.

    With "auto" it does if what is planned takes some time, if XLA may be expected to save more than it takes to
    compile, and if its steps are then measured to be `GAIN` times faster. The loop's variables are left as the
    measurement leaves them; each run restarts them.

    Args:
        loop: what is trained; it can run in a graph.
        jit: what is asked for.
        weights: all variables of the model, to measure with.
        planned_steps: of all runs that are to come.
    """
    if not jit:
        return JitChoice(False)
    if jit == "auto" and reason_for_graph(loop, weights, planned_steps):
        return JitChoice(False)
    if loop.xla.reason:
        return JitChoice(False, f"TensorFlow's graph trains, not XLA: {loop.xla.reason}")
    if jit != "auto":
        return JitChoice(True)
    in_graph, in_xla = (_seconds_per_step(loop, weights, uses_xla=uses) for uses in (False, True))
    times = f"a step takes {1e3 * in_xla:.2g} ms in XLA, {1e3 * in_graph:.2g} ms in the graph"
    is_faster = in_graph >= GAIN * in_xla
    return JitChoice(is_faster, f"{'XLA trains' if is_faster else 'the graph trains, not XLA'}: {times}")


def reason_for_graph(loop: TrainingLoop, weights: Values, planned_steps: int) -> str:
    """Return why "auto" leaves a loop to TensorFlow's graph, and does not even compile it; "" if it does.

    Args:
        loop: what is trained; it can run in a graph.
        weights: all variables of the model, to measure with.
        planned_steps: of all runs that are to come.
    """
    import tensorflow as tf

    if loop.xla.obstacle:
        return loop.xla.obstacle
    if planned_steps < LEAST_STEPS:
        return f"fewer than {LEAST_STEPS:,} steps are planned"
    is_slow = any(kind in name for name in loop.compiled.operations for kind in SLOW_ON_CPU)
    if is_slow and not tf.config.list_physical_devices("GPU"):
        return "XLA makes convolutions and random numbers slower on a CPU"
    planned_s = planned_steps * _seconds_per_step(loop, weights, uses_xla=False)
    if planned_s < max(LEAST_S, GAIN * (planned_s / HOPE + COMPILES * loop.compiled.trace_s)):
        return "XLA would not save more time than it takes to compile"
    return ""


def _seconds_per_step(loop: TrainingLoop, weights: Values, *, uses_xla: bool) -> float:
    """Measure full batches; a step that takes long is measured few times."""
    before, loop.uses_xla = loop.uses_xla, uses_xla
    try:
        loop.restart(weights)
        rates = np.full(loop.xla.capacity, MEASURED_LR, np.float32)
        _train(loop, rates[:1])  # compiles
        count = max(1, min(len(rates), int(MEASURED_S / _train(loop, rates[:1]))))
        return min(_train(loop, rates[:count]) for _ in range(3)) / count
    finally:
        loop.uses_xla = before


def _train(loop: TrainingLoop, rates: np.ndarray[tuple[int], np.dtype[np.float32]]) -> float:
    momenta = None if loop.momentum is None else np.zeros_like(rates)
    began = time.perf_counter()
    loop.train(rates, None, momenta)
    return time.perf_counter() - began
