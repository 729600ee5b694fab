"""Knows how range curves are recorded: how far a ramp is climbed, and which of it further repeats need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lrrt.bounds import SURE
from lrrt.curve import Floats, RangeCurve, Stop
from lrrt.loops import Loops
from lrrt.monitor import LOSS, Monitor
from lrrt.reading import MIN_POINTS, Shape, read_curve
from lrrt.training_loop import TrainingLoop

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
    loop = loops.get(optimizer, batch_size)

    def record(rates: Floats, repeat: int) -> RangeCurve:
        loop.restart(loops.initial_weights(seed + repeat))
        parts = _parts(loop, rates, seed + repeat, loops.monitor.every)
        return climbed(rates, parts, seed=seed + repeat, monitor=loops.monitor)

    curves = []
    for curve in repeated(record, rates, repeats):
        curves.append(curve)
        on_repeat(len(curves))
    return tuple(curves)


def repeated(record: Callable[[Floats, int], RangeCurve], rates: Floats, repeats: int) -> Iterator[RangeCurve]:
    """Yield the curve of each repeat: of the first over the whole ramp, of the others over what matters of it.

    A repeat whose part does not show its fall takes the whole ramp as well.

    Args:
        record: climbs these rates in the repeat of this number, from 0.
        rates: of the whole ramp, shape `(num_steps,)`.
        repeats: how many.
    """
    first = record(rates, 0)
    yield first
    near = rates_near(rates, first)
    for repeat in range(1, repeats):
        curve = record(near, repeat)
        if len(near) < len(rates) and not is_enough(curve):
            again = record(rates, repeat)
            curve = replace(again, num_steps=curve.num_steps + again.num_steps)
        yield curve


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
    """Train a ramp part by part; where gradients are accumulated, a step is an update and takes several batches."""
    per_update = loop.batches_per_update
    sizes = parts_of(len(rates), every)
    plans = loop.batches.plans([size * per_update for size in sizes], np.random.default_rng(seed))
    for end, size, plan in zip(np.cumsum(sizes), sizes, plans, strict=True):
        steps = loop.train(np.repeat(rates[end - size : end], per_update), plan=plan)
        starts = np.arange(0, len(steps.losses), per_update)
        counts = np.add.reduceat(np.ones(len(steps.losses)), starts)
        yield np.add.reduceat(steps.losses.astype(float), starts) / counts, steps.monitored[starts].astype(float)
