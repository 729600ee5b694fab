"""Record range curves: climb a ramp until the loss breaks down, and repeat it while the bounds are in doubt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lrrt.curve import RangeCurve, Stop
from lrrt.judging import leaves_room, more_would_help, shows_bounds
from lrrt.loops import Loops
from lrrt.monitor import LOSS, Monitor
from lrrt.smoothing import SLACK, Floats
from lrrt.training_loop import TrainingLoop

if TYPE_CHECKING:
    from lrrt.fit_loop import FitLoop

NUM_PARTS = 8  # of a ramp; after the first half, and after each further part, it is looked whether the loss broke down
LATER = 100.0  # times the first rate: there a long ramp begins, since its first two decades seldom move anything
LONG, ENOUGH = 6.0, 50  # decades and steps that must remain above it


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
    """Record the curves of one optimizer: one if it shows its bounds clearly, more if they are in doubt.

    If one is in doubt, the losses of its batches at its initial weights are measured and taken out of its noise first.

    Args:
        loops: the task.
        optimizer: which of the loops' optimizers.
        batch_size: samples a batch; None for the loops' own.
        rates: of the ramp, shape `(num_steps,)`.
        repeats: the most curves; number i draws its weights and its order of the data from `seed + i`.
        seed: of the first.
        on_repeat: is called with the number of each repeat that has ended, from 1.
    """
    loop = loops.get(optimizer, batch_size)

    def parts(rates: Floats, seed: int) -> Iterator[tuple[Floats, Floats]]:
        loop.restart(loops.initial_weights(seed))
        return _parts(loop, rates, seed, loops.monitor.every)

    def record(rates: Floats, repeat: int) -> RangeCurve:
        return climbed(rates, parts(rates, seed + repeat), seed=seed + repeat, monitor=loops.monitor)

    def quieter(curve: RangeCurve, repeat: int) -> RangeCurve:
        def measure(rate: float) -> Floats:
            return np.concatenate([losses for losses, _ in parts(np.full(len(rates), rate), seed + repeat)])

        return loops.untrained.taken_out(curve, loop, measure, len(rates))

    curves = []
    is_read_once = getattr(loop.batches, "is_read_once", False)  # then what a first try takes is gone
    for curve in repeated(record, rates, repeats, quieter, may_begin_later=not is_read_once):
        curves.append(curve)
        on_repeat(len(curves))
    return tuple(curves)


def repeated(
    record: Callable[[Floats, int], RangeCurve],
    rates: Floats,
    repeats: int,
    quieter: Callable[[RangeCurve, int], RangeCurve] | None = None,
    *,
    may_begin_later: bool = True,
) -> Iterator[RangeCurve]:
    """Yield the curve of each repeat, up to the one with which the bounds are without doubt.

    Further ones would hardly move them: of 115 real cases one curve is enough in 76, with its untrained losses in 32.
    A long ramp begins two decades above its first rate. If that leaves a doubt, or no room below the edge for bounds,
    it is climbed anew from its first rate on; the first curve's `num_steps` counts both.

    Args:
        record: climbs these rates in the repeat of this number, from 0.
        rates: of the ramp, shape `(num_steps,)`.
        repeats: the most.
        quieter: takes noise out of a curve that leaves doubt; it stays as it was if that does not help.
        may_begin_later: whether a ramp may be climbed twice.
    """

    def recorded(rates: Floats, repeat: int) -> RangeCurve:
        curve = record(rates, repeat)
        if quieter is None or not more_would_help([curve]):
            return curve
        curve = quieter(curve, repeat)
        return curve if shows_bounds(curve) else replace(curve, untrained=())

    curves: list[RangeCurve] = []
    num_tried, begin = 0, later_start(rates)
    if begin and may_begin_later:
        curve = recorded(rates[begin:], 0)
        if leaves_room(curve):
            yield curve
            return
        num_tried = curve.num_steps
    while len(curves) < repeats and (not curves or more_would_help(curves)):
        curve = recorded(rates, len(curves))
        curve = replace(curve, num_steps=curve.num_steps + (0 if curves else num_tried))
        curves.append(curve)
        yield curve


def later_start(rates: Floats) -> int:
    """Return at which step a ramp begins if that shows its bounds: 0 for one that is not long.

    >>> [later_start(np.geomspace(low, 10.0, 100)) for low in (1e-7, 1e-6)]
    [25, 0]
    """
    begin = int(np.searchsorted(rates, rates[0] * LATER))
    is_long = rates[-1] >= rates[0] * LATER * 10**LONG * (1 - SLACK) and len(rates) - begin >= ENOUGH
    return begin if is_long and begin * NUM_PARTS >= len(rates) else 0  # a linear ramp has no steps to save there


def least_and_most_steps(rates: Floats, repeats: int) -> tuple[int, int]:
    """Return the training steps of one optimizer's curves at the least and at the most, without untrained losses.

    >>> least_and_most_steps(np.geomspace(1e-7, 10.0, 100), 3)
    (40, 375)
    """
    later = len(rates) - later_start(rates)
    return parts_of(later)[0], len(rates) * repeats + (later if later < len(rates) else 0)


def parts_of(num_steps: int, every: int = 1) -> list[int]:
    """Return the steps of a ramp between looks, each but the last a multiple of `every`.

    >>> parts_of(100)
    [52, 13, 13, 13, 9]
    """
    part = every * -(-num_steps // (NUM_PARTS * every))
    ends = [*range(part * NUM_PARTS // 2, num_steps, part), num_steps]
    return [end - begin for begin, end in zip([0, *ends], ends, strict=False)]


def climbed(
    rates: Floats, parts: Iterable[tuple[Floats, Floats]], *, seed: int | None = None, monitor: Monitor = LOSS
) -> RangeCurve:
    """Return the curve of a ramp that is climbed until the loss is not finite, or a look shows that it broke down.

    Args:
        rates: of the ramp, shape `(num_steps,)`.
        parts: each part's losses and what was monitored in it, see `parts_of`; no more are taken than are needed.
        seed: what the weights and the order of the data came from.
        monitor: what was watched.
    """
    losses, monitored = np.empty(0), np.empty(0)
    for part in parts:
        losses, monitored = np.append(losses, part[0]), np.append(monitored, part[1])
        curve = RangeCurve.from_run(
            rates, losses, seed=seed, monitor=monitor, monitored=() if monitor == LOSS else monitored
        )
        if curve.stop is Stop.NON_FINITE or len(curve.lrs) < len(losses):
            break
    return curve


def _parts(loop: TrainingLoop | FitLoop, rates: Floats, seed: int, every: int) -> Iterator[tuple[Floats, Floats]]:
    """Train a ramp part by part; if gradients are accumulated, a step is an update and takes several batches."""
    per_update = loop.batches_per_update
    sizes = parts_of(len(rates), every)
    plans = loop.batches.plans([size * per_update for size in sizes], np.random.default_rng(seed))
    for end, size, plan in zip(np.cumsum(sizes), sizes, plans, strict=True):
        steps = loop.train(np.repeat(rates[end - size : end], per_update), plan=plan)
        starts = np.arange(0, len(steps.losses), per_update)
        counts = np.add.reduceat(np.ones(len(steps.losses)), starts)
        yield np.add.reduceat(steps.losses.astype(float), starts) / counts, steps.monitored[starts].astype(float)
