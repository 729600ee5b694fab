"""Run one stage of a pipeline: from a config file through range tests and a study to results on disk."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.config.tables import StageConfig
    from pipeline.config.toml import builtin_config, load_config
    from pipeline.failures import ConfigError, NoBounds, NoTrialCompleted, NoUsableRange, TaskError
    from pipeline.report.summary import StageReport
    from pipeline.stage import RangeReport, run_range_tests, run_search, run_stage

# Imported on first use, because the command imports this file too, and `lrrt --help` needs none of it.
_HOMES = {
    "ConfigError": "pipeline.failures",
    "NoTrialCompleted": "pipeline.failures",
    "NoBounds": "pipeline.failures",
    "NoUsableRange": "pipeline.failures",
    "RangeReport": "pipeline.stage",
    "StageConfig": "pipeline.config.tables",
    "StageReport": "pipeline.report.summary",
    "TaskError": "pipeline.failures",
    "builtin_config": "pipeline.config.toml",
    "load_config": "pipeline.config.toml",
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
    "run_range_tests",
    "run_search",
    "run_stage",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    member = getattr(import_module(_HOMES[name]), name)
    globals()[name] = member
    return member


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
