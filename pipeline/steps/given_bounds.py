"""Take bounds without a range test: from the bounds.json of any run, or by hand."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from lrrt import Bounds, Case, Ramp, RangeTestResult, Verdict
from lrrt.words import did_you_mean
from pipeline.config.given_file import text_of
from pipeline.config.list_values import OPTIMIZERS
from pipeline.config.tables import StageConfig
from pipeline.failures import NoBounds
from pipeline.steps.range_tests import with_optimizers
from studies.space.optimizer_range import ranges_within

MOST_BYTES = 2**26  # of a bounds.json, which has curves


def read_bounds(path: Path) -> RangeTestResult:
    """Read a bounds.json.

    Raises:
        NoBounds: if the file is missing, is no bounds.json, or has bounds for no optimizer.
    """
    try:
        result = RangeTestResult.from_json(text_of(path, most_bytes=MOST_BYTES))
    except OSError as error:
        raise NoBounds(f"--bounds must be a bounds.json that can be read, got {path}: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NoBounds(f"--bounds must be a bounds.json, but {path} cannot be read as one: {error!r:.200}.") from None
    unknown = [case.optimizer for case in result.cases.values() if case.optimizer not in OPTIMIZERS]
    if unknown:
        raise NoBounds(f"{path} must have bounds of Keras optimizers by name, got {unknown[0]!r}.")
    if not result.bounds:
        raise NoBounds(f"{path} must have bounds of one optimizer at least, got none.")
    return result


def check_bounds(config: StageConfig, bounds: RangeTestResult) -> None:
    """Refuse bounds that the config's batch sizes cannot be searched in.

    Raises:
        NoBounds: if they are of several models, or of other batch sizes.
    """
    try:
        ranges_within(bounds.bounds, bounds.cases, config.study.batch_sizes, config.study.fallback_range)
    except ValueError as error:
        raise NoBounds(str(error)) from None


def config_within(config: StageConfig, bounds: RangeTestResult) -> StageConfig:
    """Return a config whose optimizers are those of the bounds."""
    return with_optimizers(config, tuple(dict.fromkeys(case.optimizer for case in bounds.cases.values())))


def parse_ranges(texts: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Read ranges given as `optimizer=low:high`.

    Raises:
        NoBounds: for a text of another form, an unknown optimizer, a name twice, or unless `0 < low < high`.

    >>> parse_ranges(["adam=1e-4:1e-2"])
    {'adam': (0.0001, 0.01)}
    """
    ranges: dict[str, tuple[float, float]] = {}
    for text in texts:
        parts = re.fullmatch(r"([^=]+)=([^:]+):([^:]+)", text)
        try:
            name, low, high = parts[1], float(parts[2]), float(parts[3])  # type: ignore[index]  # None is caught below
        except (TypeError, ValueError):
            raise NoBounds(f"--range must be optimizer=low:high, such as adam=1e-4:1e-2, got {text!r}.") from None
        if name not in OPTIMIZERS:
            raise NoBounds(f"--range must name a known optimizer, got {name!r}.{did_you_mean(name, OPTIMIZERS)}")
        if not 0 < low < high < math.inf:
            raise NoBounds(f"`0 < low < high` must hold for --range {name}, got low={low!r}, high={high!r}.")
        if name in ranges:
            raise NoBounds(f"--range may name each optimizer once, got {name} twice.")
        ranges[name] = (low, high)
    return ranges


def bounds_by_hand(config: StageConfig, ranges: Mapping[str, tuple[float, float]]) -> RangeTestResult:
    """Return ranges in the form of a range test without curves; the middle, in log rate, stands for the suggestion."""
    options = config.range_test
    bounds = {
        name: Bounds(low, high, math.sqrt(low * high), Verdict.FOUND, "given by hand, not tested")
        for name, (low, high) in ranges.items()
    }
    cases = {name: Case(name, name, batch_size=config.range_test_batch_size) for name in ranges}
    ramp = Ramp(options.start_lr, options.end_lr, options.num_steps)
    return RangeTestResult(dict.fromkeys(ranges, ()), bounds, cases, ramp, config.study.seed)
