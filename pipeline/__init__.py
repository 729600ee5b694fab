"""One stage of a pipeline: from a config file through range tests and a study to results on disk."""

from pipeline.config import ConfigError, StageConfig, builtin_config, load_config
from pipeline.report import StageReport
from pipeline.stage import NoTrialCompleted, NoUsableRange, RangeReport, run_range_tests, run_stage
from pipeline.task import TaskError

__all__ = [
    "ConfigError",
    "NoTrialCompleted",
    "NoUsableRange",
    "RangeReport",
    "StageConfig",
    "StageReport",
    "TaskError",
    "builtin_config",
    "load_config",
    "run_range_tests",
    "run_stage",
]
