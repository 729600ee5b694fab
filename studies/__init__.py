"""Searches for hyperparameters inside the bounds that range tests found, with Optuna or KerasTuner."""

from studies.checkpoint import BrokenCheckpoint, TrialCheckpoint
from studies.dimension import Dimension
from studies.edges import AtEdge, Edge, at_edge, widen
from studies.families import FAMILIES
from studies.folds import make_folds
from studies.foreign_study import ForeignStudy
from studies.kept_study import kept_attributes
from studies.keras_tuner_shared import shared_keras_tuner_study
from studies.keras_tuner_study import KerasTunerStudy
from studies.loop_cache import LoopCache
from studies.optimizer_range import OptimizerRange
from studies.optuna_study import OptunaStudy
from studies.overfitting import LossCurves, OverfitReport, OverfitVerdict, check_overfitting
from studies.own_dimensions import own_dimensions
from studies.plot import plot_losses, plot_schedules
from studies.retraining import Repeated, cross_validate, retrain
from studies.schedules import make_schedule, rate_table
from studies.slots import StudyProgress, WorkerSeen
from studies.space import SearchSpace
from studies.storage import NoSuchStudy, StorageOfAnotherVersion, StorageUnreachable
from studies.study import Study, best_of
from studies.tensorboard_log import TensorBoardLog
from studies.trainer import EpochDecision, EpochEnded, StopTraining, Trained, Trainer
from studies.trial import TrialConfig, TrialResult, TrialState
from studies.workers import Worker

__all__ = [
    "FAMILIES",
    "AtEdge",
    "BrokenCheckpoint",
    "Dimension",
    "Edge",
    "EpochDecision",
    "EpochEnded",
    "ForeignStudy",
    "KerasTunerStudy",
    "LoopCache",
    "LossCurves",
    "NoSuchStudy",
    "OptimizerRange",
    "OptunaStudy",
    "OverfitReport",
    "OverfitVerdict",
    "Repeated",
    "SearchSpace",
    "StopTraining",
    "StorageOfAnotherVersion",
    "StorageUnreachable",
    "Study",
    "StudyProgress",
    "TensorBoardLog",
    "Trained",
    "Trainer",
    "TrialCheckpoint",
    "TrialConfig",
    "TrialResult",
    "TrialState",
    "Worker",
    "WorkerSeen",
    "at_edge",
    "best_of",
    "check_overfitting",
    "cross_validate",
    "kept_attributes",
    "make_folds",
    "make_schedule",
    "own_dimensions",
    "plot_losses",
    "plot_schedules",
    "rate_table",
    "retrain",
    "shared_keras_tuner_study",
    "widen",
]
