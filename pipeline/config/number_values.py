"""Check numbers of a config: counts, rates, ranges, fractions, durations."""

import math
import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from pipeline.config.values import NONE, is_number, or_none, shown

MAX_COUNT = 1_000_000  # more trials, epochs or steps must be a typing error
MAX_SEED = 2**32 - 1  # the largest that NumPy and Keras take


def _range(values: object) -> tuple[float, float]:
    numbers = [float(v) for v in values if is_number(v)] if isinstance(values, list | tuple) else []
    if not isinstance(values, list | tuple) or not len(values) == len(numbers) == 2:
        raise ValueError(f"must be two numbers, [low, high], got {shown(values)}.")
    low, high = numbers
    if not 0 < low < high < math.inf:
        raise ValueError(f"`0 < low < high` must hold, got low={low!r}, high={high!r}.")
    return low, high


def _range_or_none(values: object) -> tuple[float, float] | None:
    return None if values in (None, NONE) else _range(values)


def _momentum_or_none(values: object) -> tuple[float, float] | None:
    bounds = _range_or_none(values)
    if bounds and bounds[1] >= 1:
        raise ValueError(f"`0 < low < high < 1` must hold, got low={bounds[0]!r}, high={bounds[1]!r}.")
    return bounds


def _patience(value: object) -> float | None:
    if value in (None, NONE):
        return None
    if not is_number(value) or not 0 <= value <= 1:  # type: ignore[operator]  # a number, by the first condition
        raise ValueError(f'must be a part of the epochs, from 0 to 1, or "none", got {shown(value)}.')
    return float(value) or None  # type: ignore[arg-type]


def _gap(value: object) -> float | None:
    if value in (None, NONE):
        return None
    if not is_number(value) or not 0 <= value < math.inf:  # type: ignore[operator]
        raise ValueError(f'must be a number >= 0 or "none", got {shown(value)}.')
    return float(value)  # type: ignore[arg-type]


def _num_folds(number: int) -> int:
    if number == 1:
        raise ValueError("must be 0, for none, or 2 and more, got 1.")
    return number


def seconds_of(text: str) -> float:
    """Return the seconds of a duration such as 3h50m, 90s, 1.5h or 600 (seconds).

    Raises:
        ValueError: for another text, or a duration of nothing.

    >>> seconds_of("3h50m"), seconds_of("90"), seconds_of("1.5h")
    (13800.0, 90.0, 5400.0)
    """
    parts = re.fullmatch(r"(?:([0-9.]+)h)?(?:([0-9.]+)m)?(?:([0-9.]+)s?)?", text)
    try:
        hours, minutes, rest = (float(part or 0) for part in parts.groups())  # type: ignore[union-attr]  # caught below
    except (AttributeError, ValueError):
        raise ValueError(f"must be a duration such as 3h50m, 90m or 600s, got {shown(text)}.") from None
    total = 3600 * hours + 60 * minutes + rest
    if total <= 0:
        raise ValueError(f"must be longer than nothing, got {shown(text)}.")
    return total


def _duration_or_none(text: str) -> str:
    if text != NONE:
        seconds_of(text)
    return text


def _number_or_none(value: object) -> float | None:
    if value in (None, NONE):
        return None
    if not is_number(value) or not math.isfinite(value):  # type: ignore[arg-type]  # a number, by the first condition
        raise ValueError(f'must be a number or "none", got {shown(value)}.')
    return float(value)  # type: ignore[arg-type]


Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
_LOW_AND_HIGH = {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}, "minItems": 2, "maxItems": 2}
LowAndHigh = Annotated[tuple[float, float], BeforeValidator(_range), WithJsonSchema(_LOW_AND_HIGH)]
RangeOrNone = Annotated[
    tuple[float, float] | None, BeforeValidator(_range_or_none), WithJsonSchema(or_none(_LOW_AND_HIGH))
]
MomentumOrNone = Annotated[
    tuple[float, float] | None, BeforeValidator(_momentum_or_none), WithJsonSchema(or_none(_LOW_AND_HIGH))
]
Patience = Annotated[
    float | None,
    BeforeValidator(_patience),
    WithJsonSchema(or_none({"type": "number", "minimum": 0, "maximum": 1})),
]
Gap = Annotated[float | None, BeforeValidator(_gap), WithJsonSchema(or_none({"type": "number", "minimum": 0}))]
DurationOrNone = Annotated[str, AfterValidator(_duration_or_none)]
NumberOrNone = Annotated[float | None, BeforeValidator(_number_or_none), WithJsonSchema(or_none({"type": "number"}))]
Fraction = Annotated[float, Field(gt=0, lt=1)]
CountOrZero = Annotated[int, Field(ge=0, le=MAX_COUNT)]
NumFolds = Annotated[int, Field(ge=0, le=MAX_COUNT), AfterValidator(_num_folds)]
