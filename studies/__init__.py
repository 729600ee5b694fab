"""Searches for hyperparameters inside the bounds that range tests found, with Optuna or KerasTuner."""

from studies.checkpoint import BrokenCheckpoint, TrialCheckpoint
from studies.dimension import Dimension
from studies.families import FAMILIES
from studies.optuna_study import OptunaStudy
from studies.overfitting import LossCurves, OverfitReport, OverfitVerdict, check_overfitting
from studies.plot import plot_losses, plot_schedules
from studies.schedules import make_schedule, rate_table
from studies.space import ForeignStudy, OptimizerRange, SearchSpace
from studies.study import Study, best_of
from studies.trainer import EpochDecision, EpochEnded, StopTraining, Trained, Trainer
from studies.trial import TrialConfig, TrialResult, TrialState

__all__ = [
    "FAMILIES",
    "BrokenCheckpoint",
    "Dimension",
    "EpochDecision",
    "EpochEnded",
    "ForeignStudy",
    "LossCurves",
    "OptimizerRange",
    "OptunaStudy",
    "OverfitReport",
    "OverfitVerdict",
    "SearchSpace",
    "StopTraining",
    "Study",
    "Trained",
    "Trainer",
    "TrialCheckpoint",
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
