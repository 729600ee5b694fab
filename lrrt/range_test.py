"""Knows the whole learning-rate range test: model, data and optimizers in, bounds for each optimizer out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lrrt.batches import Data
from lrrt.bounds import Bounds, find_bounds
from lrrt.curve import RangeCurve, Stop
from lrrt.loops import Loops
from lrrt.models import ModelSource
from lrrt.plot import plot_loss_deltas, plot_losses
from lrrt.ramp import Ramp

if TYPE_CHECKING:
    import keras
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class RangeTestResult:
    """What a range test found: by optimizer, a tuple of curves, one for each repeat, and the bounds read from them.

    `kinds` are the optimizers' Keras names, which their labels need not be.
    """

    curves: Mapping[str, tuple[RangeCurve, ...]]
    bounds: Mapping[str, Bounds]
    kinds: Mapping[str, str]
    ramp: Ramp
    batch_size: int
    seed: int

    @property
    def num_steps(self) -> int:
        """Training steps spent."""
        return sum(len(curve.lrs) for repeats in self.curves.values() for curve in repeats)

    def plot(self, *, ax: Axes | None = None) -> Figure:
        """Draw loss against learning rate for all optimizers on one axis."""
        return plot_losses(self.curves, self.bounds, ax=ax)

    def plot_deltas(self, *, ax: Axes | None = None) -> Figure:
        """Draw loss delta against learning rate for all optimizers on one axis."""
        return plot_loss_deltas(self.curves, self.bounds, ax=ax)

    def to_json(self) -> str:
        """Return what bounds.json holds: bounds, curves, and what they came from."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the same as plain data: numbers, strings, lists, None."""
        return {
            "schema_version": SCHEMA_VERSION,
            "ramp": asdict(self.ramp),
            "batch_size": self.batch_size,
            "seed": self.seed,
            "kinds": dict(self.kinds),
            "versions": _versions(),
            "bounds": {label: _bounds_as_dict(bounds) for label, bounds in self.bounds.items()},
            "curves": {label: [_curve_as_dict(curve) for curve in repeats] for label, repeats in self.curves.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `as_dict` wrote.

        Raises:
            ValueError: for data of another schema version.
        """
        if data.get("schema_version") != SCHEMA_VERSION:
            raise ValueError(f"`schema_version` must be {SCHEMA_VERSION}, got {data.get('schema_version')!r}.")
        curves = {label: tuple(map(_curve_from_dict, repeats)) for label, repeats in data["curves"].items()}
        kinds = data["kinds"]
        bounds = {label: find_bounds(repeats, optimizer=kinds[label]) for label, repeats in curves.items()}
        return cls(curves, bounds, kinds, Ramp(**data["ramp"]), data["batch_size"], data["seed"])


def range_test(
    build_model: ModelSource,
    data: Data,
    *,
    optimizers: Iterable[str | keras.Optimizer] | Mapping[str, str | keras.Optimizer] = ("sgd", "adam"),
    ramp: Ramp | None = None,
    batch_size: int = 32,
    repeats: int = 3,
    seed: int = 0,
) -> RangeTestResult:
    """Find, for each optimizer, the bounds inside which its learning rate is worth searching.

    Each repeat trains from its own initial weights, on its own order of the data, with a fresh optimizer, while the
    rate climbs. A compiled model that is passed in starts each repeat from its own weights, and is left exactly as it
    was found, also after an exception.

    Args:
        build_model: returns a compiled model, or is one; see `Loops`.
        data: what is trained on; see `as_batches`. It is cycled, shuffled anew, where it has fewer batches than steps.
        optimizers: names, Keras optimizers, or {label: either}.
        ramp: the rates that are tried; by default 100 steps from 1e-7 to 10.
        batch_size: samples a batch.
        repeats: how many curves each optimizer's bounds are the median of.
        seed: repeat number i draws its weights and its order of the data from `seed + i`.

    Raises:
        TypeError, ValueError: for each argument out of its domain, naming what was received.
    """
    if not isinstance(repeats, int) or repeats < 1:
        raise ValueError(f"`repeats` must be a whole number >= 1, got {repeats!r}.")
    loops = Loops(build_model, data, optimizers=optimizers, batch_size=batch_size)
    with loops.left_as_found():
        return run_range_test(loops, ramp or Ramp(), repeats=repeats, seed=seed)


def run_range_test(
    loops: Loops,
    ramp: Ramp,
    *,
    repeats: int = 3,
    seed: int = 0,
    on_start: Callable[[str], None] = lambda label: None,
    on_done: Callable[[str, Bounds], None] = lambda label, bounds: None,
) -> RangeTestResult:
    """Test the rates of each of the loops' optimizers; `on_start` and `on_done` are told of each of them."""
    kinds = {label: type(pattern).__name__.lower() for label, pattern in loops.patterns.items()}
    curves: dict[str, tuple[RangeCurve, ...]] = {}
    bounds: dict[str, Bounds] = {}
    for label in loops.patterns:
        on_start(label)
        curves[label] = tuple(_record(loops, label, ramp, seed + repeat) for repeat in range(repeats))
        bounds[label] = find_bounds(curves[label], optimizer=kinds[label])
        on_done(label, bounds[label])
    return RangeTestResult(curves, bounds, kinds, ramp, loops.batch_size, seed)


def _record(loops: Loops, label: str, ramp: Ramp, seed: int) -> RangeCurve:
    loop = loops.get(label)
    loop.restart(loops.initial_weights(seed))
    steps = loop.train(ramp.rates(), np.random.default_rng(seed))
    return RangeCurve.from_run(ramp.rates(), steps.losses, seed=seed)


def _bounds_as_dict(bounds: Bounds) -> dict[str, Any]:
    return asdict(bounds) | {"verdict": bounds.verdict.name.lower(), "decades": bounds.decades}


def _curve_as_dict(curve: RangeCurve) -> dict[str, Any]:
    return {
        "lrs": list(curve.lrs),
        "losses": [loss if np.isfinite(loss) else None for loss in curve.losses],
        "stop": curve.stop.name.lower(),
        "seed": curve.seed,
    }


def _curve_from_dict(data: Mapping[str, Any]) -> RangeCurve:
    losses = tuple(float("nan") if loss is None else loss for loss in data["losses"])
    return RangeCurve(tuple(data["lrs"]), losses, Stop[data["stop"].upper()], data["seed"])


def _versions() -> dict[str, str]:
    import keras
    import tensorflow as tf

    return {"keras": keras.__version__, "tensorflow": tf.__version__, "numpy": np.__version__}
