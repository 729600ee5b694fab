"""One stage of a pipeline: from a config file through range tests and a study to results on disk."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.config import StageConfig
    from pipeline.config_file import builtin_config, load_config
    from pipeline.mistakes import ConfigError
    from pipeline.report import StageReport
    from pipeline.results import NoTrialCompleted
    from pipeline.search import NoUsableRange
    from pipeline.search_bounds import NoBounds
    from pipeline.stage import RangeReport, run_range_tests, run_search, run_stage
    from pipeline.task import TaskError

# Imported on first use, because the command imports this file too, and `lrrt --help` needs none of it.
_HOMES = {
    "ConfigError": "pipeline.mistakes",
    "NoTrialCompleted": "pipeline.results",
    "NoBounds": "pipeline.search_bounds",
    "NoUsableRange": "pipeline.search",
    "RangeReport": "pipeline.stage",
    "StageConfig": "pipeline.config",
    "StageReport": "pipeline.report",
    "TaskError": "pipeline.task",
    "builtin_config": "pipeline.config_file",
    "load_config": "pipeline.config_file",
    "run_range_part": "pipeline.stage",
    "run_range_tests": "pipeline.stage",
    "run_search": "pipeline.stage",
    "run_stage": "pipeline.stage",
}

__all__ = [
    "ConfigError",
    "NoBounds",
    "NoTrialCompleted",
    "NoUsableRange",
    "RangeReport",
    "StageConfig",
    "StageReport",
    "TaskError",
    "builtin_config",
    "load_config",
    "run_range_part",
    "run_range_tests",
    "run_search",
    "run_stage",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
