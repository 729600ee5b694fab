"""Searches for hyperparameters inside the bounds that range tests found, with Optuna or KerasTuner."""

from studies.optuna_study import OptunaStudy
from studies.overfitting import LossCurves, OverfitReport, OverfitVerdict, check_overfitting
from studies.plot import plot_losses, plot_schedules
from studies.schedules import FAMILIES, make_schedule, rate_table
from studies.space import OptimizerRange, SearchSpace
from studies.study import Study, best_of
from studies.trainer import Trained, Trainer
from studies.trial import TrialConfig, TrialResult, TrialState

__all__ = [
    "FAMILIES",
    "LossCurves",
    "OptimizerRange",
    "OptunaStudy",
    "OverfitReport",
    "OverfitVerdict",
    "SearchSpace",
    "Study",
    "Trained",
    "Trainer",
    "TrialConfig",
    "TrialResult",
    "TrialState",
    "best_of",
    "check_overfitting",
    "make_schedule",
    "plot_losses",
    "plot_schedules",
    "rate_table",
]
