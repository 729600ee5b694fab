"""Begin and end the commands: settings, the task's folder, a stopper, what is shown, the last line of stdout."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.console.stopping import Stopper, seconds_left
from pipeline.console.streams import ProgressStyle, say

if TYPE_CHECKING:
    from lrrt import RangeTestResult
    from pipeline.config.tables import StageConfig
    from pipeline.console.events import Tell


class Report(Protocol):
    """The part of a stage's report that a command prints."""

    @property
    def summary_path(self) -> Path: ...
    @property
    def summary(self) -> Any: ...


def load(
    config: Path | None, *, trials: int | None = None, seed: int | None = None, warm_start: str | None = None
) -> "StageConfig":
    """Read the config, or the digits example if there is none; the values of the command line have priority."""
    from pipeline.config.toml import builtin_config, load_config

    overrides = {"study.num_trials": trials, "study.seed": seed, "study.warm_start": warm_start}
    return builtin_config(overrides) if config is None else load_config(config, overrides)


def given_bounds(config: "StageConfig", file: Path | None, ranges: Sequence[str]) -> "RangeTestResult | None":
    """Return the bounds of --bounds or --range; None without either.

    Raises:
        NoBounds: if both are given, or either cannot be read.
    """
    from pipeline.failures import NoBounds
    from pipeline.steps.given_bounds import bounds_by_hand, parse_ranges, read_bounds

    if file is not None and ranges:
        raise NoBounds("Bounds must come from one place, got --bounds and --range.")
    if file is not None:
        return read_bounds(file)
    return bounds_by_hand(config, parse_ranges(ranges)) if ranges else None


def prepare(app_dir: Path, *, verbose: bool) -> None:
    """Make the task's module importable, and let TensorFlow log if -v asks for it."""
    sys.path.insert(0, str(app_dir.resolve()))
    if verbose:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0")


@contextmanager
def stoppable(max_time_s: float | None, *, ends_with_parent: bool = False) -> Iterator[Stopper]:
    """Yield a stopper for SIGINT, SIGTERM, a time limit in seconds, and the end of the parent process.

    In a Slurm job with a known end, a run stops before that end, unless another limit is given.
    """
    limit = seconds_left() if max_time_s is None else max_time_s
    stopper = Stopper(limit, ends_with_parent=ends_with_parent)
    with stopper.heeding_signals():
        yield stopper


@contextmanager
def shown(progress: ProgressStyle, *, quiet: bool) -> Iterator["Tell"]:
    """Yield the function that shows a run's events on stderr."""
    from pipeline.console.display import telling

    with telling(sys.stderr, "none" if quiet else progress) as tell:
        yield tell


def print_report(report: Report, *, out: Path, as_json: bool) -> None:
    """Print the last line of stdout: the path of the summary, below `out` as it was given, or the summary itself."""
    from pipeline.state.json_files import as_json as to_json

    path = out / report.summary_path.relative_to(out.absolute())
    say(to_json(report.summary) if as_json else str(path), sys.stdout)
