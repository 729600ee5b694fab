"""Knows how range curves are recorded: how far a ramp is climbed, and which of it further repeats need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lrrt.bounds import SURE
from lrrt.curve import Floats, RangeCurve, Stop
from lrrt.loops import Loops
from lrrt.monitor import LOSS, Monitor
from lrrt.reading import MIN_POINTS, Shape, read_curve
from lrrt.training_loop import TrainingLoop, Values

if TYPE_CHECKING:
    from lrrt.fit_loop import FitLoop

ROOM_BELOW = 300.0  # of the first edge: what lies below moves no loss from other weights either
NUM_PARTS = 8  # of a ramp; after the first half, and after each further part, it is looked whether the loss broke down


def record_curves(
    loops: Loops,
    optimizer: str,
    batch_size: int | None,
    rates: Floats,
    *,
    repeats: int,
    seed: int,
    on_repeat: Callable[[int], None],
) -> tuple[RangeCurve, ...]:
    """Record the curves of one optimizer: the first over the whole ramp, the others over what matters of it.

    Args:
        loops: the task.
        optimizer: which of the loops' optimizers.
        batch_size: samples a batch; None for the loops' own.
        rates: of the whole ramp, shape `(num_steps,)`.
        repeats: how many curves; number i draws its weights and its order of the data from `seed + i`.
        seed: of the first.
        on_repeat: told which repeat has ended, from 1.
    """

    def record(rates: Floats, seed: int) -> RangeCurve:
        return _record(loops.get(optimizer, batch_size), loops.initial_weights(seed), rates, seed, loops.monitor)

    curves = [record(rates, seed)]
    on_repeat(1)
    near = rates_near(rates, curves[0])
    for repeat in range(1, repeats):
        curve = record(near, seed + repeat)
        if len(near) < len(rates) and not is_enough(curve):
            again = record(rates, seed + repeat)
            curve = replace(again, num_steps=curve.num_steps + again.num_steps)
        curves.append(curve)
        on_repeat(repeat + 1)
    return tuple(curves)


def rates_near(rates: Floats, first: RangeCurve) -> Floats:
    """Return the rates of a ramp from 1/300 of the first curve's edge on.

    All of them, where that curve does not show its fall and its breakdown clearly, or where too few would be left.
    """
    reading = read_curve(first.judged())
    if reading.shape is not Shape.FALLS or reading.is_open or reading.confidence < SURE or reading.edge is None:
        return rates
    near = rates[rates >= reading.edge / ROOM_BELOW]
    return near if len(near) >= 2 * MIN_POINTS * first.monitor.every else rates


def is_enough(curve: RangeCurve) -> bool:
    """Say whether a curve over the upper part of a ramp shows where the loss falls."""
    return read_curve(curve.judged()).shape is Shape.FALLS


def parts_of(num_steps: int, every: int = 1) -> list[int]:
    """Return the steps of a ramp between looks, each but the last a multiple of `every`.

    >>> parts_of(100)
    [52, 13, 13, 13, 9]
    """
    part = every * -(-num_steps // (NUM_PARTS * every))
    ends = [*range(part * NUM_PARTS // 2, num_steps, part), num_steps]
    return [end - begin for begin, end in zip([0, *ends], ends, strict=False)]


def _record(loop: TrainingLoop | FitLoop, weights: Values, rates: Floats, seed: int, monitor: Monitor) -> RangeCurve:
    """Climb until the loss is not finite, or a look shows that it has broken down.

    Where gradients are accumulated, a step of the ramp is an update and takes several batches.
    """
    loop.restart(weights)
    per_update = loop.batches_per_update
    parts = parts_of(len(rates), monitor.every)
    plans = loop.batches.plans([part * per_update for part in parts], np.random.default_rng(seed))
    losses, monitored = np.empty(0), np.empty(0)
    for part, plan in zip(parts, plans, strict=True):
        steps = loop.train(np.repeat(rates[len(losses) :][:part], per_update), plan=plan)
        starts = np.arange(0, len(steps.losses), per_update, dtype=np.intp)
        losses = np.append(losses, _means(steps.losses, starts))
        monitored = np.append(monitored, steps.monitored[starts])
        shown = () if monitor == LOSS else monitored
        curve = RangeCurve.from_run(rates, losses, seed=seed, monitor=monitor, monitored=shown)
        if curve.stop is Stop.NON_FINITE or len(curve.lrs) < len(losses):
            break
    return curve


def _means(losses: NDArray[np.float32], starts: NDArray[np.intp]) -> Floats:
    """Return the mean loss of the batches of each update, which begin at `starts`."""
    sizes = np.add.reduceat(np.ones(len(losses)), starts)
    return np.asarray(np.add.reduceat(losses.astype(float), starts) / sizes)
