"""The result of a range test, in numbers, pictures, tables and JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from importlib.metadata import version
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, NonNegativeInt, PlainSerializer

from lrrt.bounds import Bounds
from lrrt.comparison import Standing, compare, in_words, title_of
from lrrt.curve import RangeCurve
from lrrt.judging import find_bounds
from lrrt.plain import from_plain, to_plain
from lrrt.plot import plot_loss_deltas, plot_losses
from lrrt.ramp import Ramp
from lrrt.words import rate_text, score_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SCHEMA_VERSION: Final = 1
REPR_WIDTH = 90  # letters of bounds; with what stands around them they fit on a line

Hyperparameters = Annotated[
    tuple[tuple[str, Any], ...],
    BeforeValidator(lambda by_name: tuple(by_name.items())),
    PlainSerializer(dict, return_type=dict[str, Any]),
]


@dataclass(frozen=True, slots=True)
class Case:
    """What a range test was run on: an optimizer, its kind, a batch size, and the model's hyperparameters.

    `kind` is the name that `lrrt.factors` lists the optimizer under. `batch_size` is 0 if the data brings its own.
    """

    optimizer: str
    kind: str
    batch_size: NonNegativeInt
    hyperparameters: Hyperparameters = ()


@dataclass(frozen=True, slots=True)
class BoundsFile:
    """What bounds.json holds."""

    schema_version: Literal[1]
    ramp: Ramp
    seed: int
    versions: Mapping[str, str]
    cases: Mapping[str, Case]
    bounds: Mapping[str, Bounds]
    curves: Mapping[str, tuple[RangeCurve, ...]]


@dataclass(frozen=True, slots=True, repr=False)
class RangeTestResult:
    """What a range test found, by label: the optimizer's, followed by what else was varied.

    `curves` has a tuple of curves, one for each repeat, `bounds` what was read from them, `cases` what they are of.
    `ramp` has the rates that were tried, and the repeats counted on from `seed`.
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
            KeyError: if that was not tested.
        """
        for label, case in self.cases.items():
            if (case.optimizer, case.batch_size) == (optimizer, batch_size):
                return self.bounds[label]
        raise KeyError(f"{optimizer} was not tested in batches of {batch_size}; tested were {', '.join(self.cases)}.")

    def __getitem__(self, label: str) -> Bounds:
        """Return the bounds of a label, as `bounds[label]` does.

        Raises:
            KeyError: with what was tested.
        """
        if label not in self.bounds:
            raise KeyError(f"{label!r} was not tested; tested were {', '.join(self.bounds)}.")
        return self.bounds[label]

    def for_training(self, training_steps: int | Mapping[str, int]) -> Self:
        """Judge the same curves again, for a training of another length; curves do not depend on it.

        Suggestions fall by its power -.3, which is fitted, and near what is published (see `lrrt.factors`).
        What short trainings have sharpened is lost, a doubt about what was learnt is not. Bounds without curves stay
        as they are.

        Args:
            training_steps: updates of the training to come; or those of each label.

        Raises:
            ValueError: for less than one update.
        """

        def judged(label: str, curves: tuple[RangeCurve, ...]) -> Bounds:
            before = self.bounds[label]
            steps = training_steps if isinstance(training_steps, int) else training_steps.get(label)
            if not curves:
                return before
            kind, averaging_steps = self.cases[label].kind, before.averaging_steps
            again = find_bounds(curves, optimizer=kind, training_steps=steps, averaging_steps=averaging_steps)
            return again.doubted(before.doubt)

        return replace(self, bounds={label: judged(label, curves) for label, curves in self.curves.items()})

    def standings(self) -> tuple[Standing, ...]:
        """Order the cases by the best smoothed value that they reached."""
        return compare(self.curves, self.bounds)

    def plot(self, *, ax: Axes | None = None) -> Figure:
        """Draw what was watched against the learning rate, all cases on one axis."""
        return plot_losses(self.curves, self.bounds, ax=ax)

    def plot_deltas(self, *, ax: Axes | None = None) -> Figure:
        """Draw loss delta against learning rate, all cases on one axis."""
        return plot_loss_deltas(self.curves, self.bounds, ax=ax)

    def __repr__(self) -> str:
        ranges = ", ".join(
            f"{label} {rate_text(one.low)} to {rate_text(one.high)}" for label, one in self.bounds.items()
        )
        return f"<RangeTestResult: {shorten(ranges, REPR_WIDTH, placeholder=', ...')}>"

    def __str__(self) -> str:
        rows = [self._head(), *map(self._row, self.standings())]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, in_words(self.standings())])

    def _repr_html_(self) -> str:
        head = "<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in self._head()) + "</tr>"
        rows = ("".join(f"<td>{escape(cell)}</td>" for cell in self._row(standing)) for standing in self.standings())
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        picture = io.StringIO()
        self.plot().savefig(picture, format="svg")
        svg = picture.getvalue()[picture.getvalue().index("<svg") :]
        return f"<table>{head}{body}</table><p>{escape(in_words(self.standings()))}</p>{svg}"

    def to_json(self) -> str:
        """Return what bounds.json holds: bounds, curves, and what they came from."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def save(self, path: Path | str) -> None:
        """Write `to_json` to a file, which `lrrt search --bounds FILE` and `RangeTestResult.load` read."""
        Path(path).write_text(self.to_json() + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read what `save` wrote."""
        return cls.from_json(Path(path).read_text(encoding="utf-8"))

    def to_dataframe(self) -> pd.DataFrame:
        """Return a pandas DataFrame with one row a case: its label as index, its values and its bounds as columns.

        Raises:
            ModuleNotFoundError: if pandas, which lrrt does not need, is not installed.
        """
        import pandas as pd

        rows = {
            label: {
                **{name: value for name, value in to_plain(self.cases[label]).items() if name != "hyperparameters"},
                **dict(self.cases[label].hyperparameters),
                **to_plain(bounds),
            }
            for label, bounds in self.bounds.items()
        }
        return pd.DataFrame.from_dict(rows, orient="index")

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote, so that curves can be judged again without running them."""
        return cls.from_dict(json.loads(text))

    def to_dict(self) -> dict[str, Any]:
        """Return the same as plain data, ready for `json.dumps`: numbers, strings, lists, None."""
        return to_plain(
            BoundsFile(SCHEMA_VERSION, self.ramp, self.seed, _versions(), self.cases, self.bounds, self.curves)
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote.

        Raises:
            ValueError: for data of another schema version.
        """
        if data.get("schema_version") != SCHEMA_VERSION:
            raise ValueError(f"`schema_version` must be {SCHEMA_VERSION}, got {data.get('schema_version')!r}.")
        file = from_plain(BoundsFile, {"versions": {}, **data})
        return cls(file.curves, file.bounds, file.cases, file.ramp, file.seed)

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

    def _row(self, standing: Standing) -> tuple[str, ...]:
        bounds = self.bounds[standing.label]
        rates = (rate_text(bounds.low), rate_text(bounds.high), rate_text(bounds.suggested))
        return (standing.label, *rates, score_text(standing.best), rate_text(standing.lr), bounds.reason)

    def _head(self) -> tuple[str, ...]:
        return ("", "low", "high", "suggested", title_of(self.standings()), "at lr", "")


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("keras", "tensorflow", "numpy")}  # nothing is imported for it
