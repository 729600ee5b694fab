"""Knows what a range test found, in numbers, pictures, tables and JSON."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lrrt.bounds import Bounds, Verdict, find_bounds
from lrrt.comparison import Standing, compare, in_words
from lrrt.curve import RangeCurve, Stop
from lrrt.monitor import Monitor
from lrrt.plot import plot_loss_deltas, plot_losses
from lrrt.ramp import Ramp

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Case:
    """What a range test was run on: an optimizer, its kind, a batch size, and the model's hyperparameters.

    `kind` is the name that `lrrt.factors` lists the optimizer under. `batch_size` is 0 where the data brings its own.
    """

    optimizer: str
    kind: str
    batch_size: int
    hyperparameters: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class RangeTestResult:
    """What a range test found, by label: the optimizer's, followed by what else was varied.

    `curves` has a tuple of curves, one for each repeat, `bounds` what was read from them, `cases` what they are of.
    """

    curves: Mapping[str, tuple[RangeCurve, ...]]
    bounds: Mapping[str, Bounds]
    cases: Mapping[str, Case]
    ramp: Ramp
    seed: int

    @property
    def num_steps(self) -> int:
        """Training steps that the curves took."""
        return sum(max(curve.num_steps, len(curve.lrs)) for repeats in self.curves.values() for curve in repeats)

    def bounds_for(self, optimizer: str, batch_size: int) -> Bounds:
        """Return the bounds of an optimizer at a batch size.

        Raises:
            KeyError: where that was not tested.
        """
        for label, case in self.cases.items():
            if (case.optimizer, case.batch_size) == (optimizer, batch_size):
                return self.bounds[label]
        raise KeyError(f"{optimizer} was not tested in batches of {batch_size}; tested were {', '.join(self.cases)}.")

    def standings(self) -> tuple[Standing, ...]:
        """Order the cases by the lowest smoothed loss that they reached."""
        return compare(self.curves, self.bounds)

    def plot(self, *, ax: Axes | None = None) -> Figure:
        """Draw what was watched against the learning rate, all cases on one axis."""
        return plot_losses(self.curves, self.bounds, ax=ax)

    def plot_deltas(self, *, ax: Axes | None = None) -> Figure:
        """Draw loss delta against learning rate, all cases on one axis."""
        return plot_loss_deltas(self.curves, self.bounds, ax=ax)

    def __str__(self) -> str:
        rows = [("", "low", "high", "suggested", "lowest loss", "at lr", ""), *map(self._row, self.standings())]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, in_words(self.standings())])

    def _repr_html_(self) -> str:
        head = (
            "<tr><th></th><th>low</th><th>high</th><th>suggested</th><th>lowest loss</th><th>at lr</th><th></th></tr>"
        )
        rows = ("".join(f"<td>{escape(cell)}</td>" for cell in self._row(found)) for found in self.standings())
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        picture = io.StringIO()
        self.plot().savefig(picture, format="svg")
        svg = picture.getvalue()[picture.getvalue().index("<svg") :]
        return f"<table>{head}{body}</table><p>{escape(in_words(self.standings()))}</p>{svg}"

    def to_json(self) -> str:
        """Return what bounds.json holds: bounds, curves, and what they came from."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote, so that curves can be judged again without running them."""
        return cls.from_dict(json.loads(text))

    def as_dict(self) -> dict[str, Any]:
        """Return the same as plain data: numbers, strings, lists, None."""
        return {
            "schema_version": SCHEMA_VERSION,
            "ramp": asdict(self.ramp),
            "seed": self.seed,
            "versions": _versions(),
            "cases": {
                label: asdict(case) | {"hyperparameters": dict(case.hyperparameters)}
                for label, case in self.cases.items()
            },
            "bounds": {label: _bounds_as_dict(found) for label, found in self.bounds.items()},
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
        cases = {
            label: Case(**{**case, "hyperparameters": tuple(case["hyperparameters"].items())})
            for label, case in data["cases"].items()
        }
        curves = {label: tuple(map(_curve_from_dict, repeats)) for label, repeats in data["curves"].items()}
        bounds = {label: _bounds_from_dict(found) for label, found in data["bounds"].items()}
        return cls(curves, bounds, cases, Ramp(**data["ramp"]), data["seed"])

    @classmethod
    def joined(cls, tests: Sequence[Self]) -> Self:
        """Return range tests of different cases, with the same ramp and seed, as one."""
        return cls(
            {label: repeats for test in tests for label, repeats in test.curves.items()},
            {label: bounds for test in tests for label, bounds in test.bounds.items()},
            {label: case for test in tests for label, case in test.cases.items()},
            tests[0].ramp,
            tests[0].seed,
        )

    def judged_again(self) -> Self:
        """Return the same curves with the bounds that today's rule reads from them, unconfirmed."""
        bounds = {
            label: find_bounds(
                repeats,
                optimizer=self.cases[label].kind,
                training_steps=self.bounds[label].training_steps,
                averaging_steps=self.bounds[label].averaging_steps,
            )
            for label, repeats in self.curves.items()
        }
        return type(self)(self.curves, bounds, self.cases, self.ramp, self.seed)

    def _row(self, found: Standing) -> tuple[str, ...]:
        bounds = self.bounds[found.label]
        rates = (_rate(bounds.low), _rate(bounds.high), _rate(bounds.suggested))
        lowest = "-" if found.lowest_loss is None else f"{found.lowest_loss:.4g}"
        return (found.label, *rates, lowest, _rate(found.lr), bounds.reason)


def _rate(lr: float | None) -> str:
    return "-" if lr is None else f"{lr:.1e}"


def _bounds_as_dict(bounds: Bounds) -> dict[str, Any]:
    return asdict(bounds) | {"verdict": bounds.verdict.name.lower(), "decades": bounds.decades}


def _bounds_from_dict(data: Mapping[str, Any]) -> Bounds:
    fields = {name: value for name, value in data.items() if name != "decades"}
    return Bounds(**{**fields, "verdict": Verdict[data["verdict"].upper()]})


def _curve_as_dict(curve: RangeCurve) -> dict[str, Any]:
    return {
        "lrs": list(curve.lrs),
        "losses": list(map(_or_none, curve.losses)),
        "stop": curve.stop.name.lower(),
        "seed": curve.seed,
        "monitor": asdict(curve.monitor),
        "monitored": list(map(_or_none, curve.monitored)),
        "num_steps": curve.num_steps,
    }


def _curve_from_dict(data: Mapping[str, Any]) -> RangeCurve:
    return RangeCurve(
        tuple(data["lrs"]),
        tuple(map(_or_nan, data["losses"])),
        Stop[data["stop"].upper()],
        data["seed"],
        Monitor(**data["monitor"]),
        tuple(map(_or_nan, data["monitored"])),
        data.get("num_steps", 0),  # older files do not have it
    )


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _versions() -> dict[str, str]:
    import keras
    import tensorflow as tf

    return {"keras": keras.__version__, "tensorflow": tf.__version__, "numpy": np.__version__}
