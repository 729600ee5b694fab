"""Searches for hyperparameters inside the bounds that range tests found, with Optuna or KerasTuner."""

from studies.analysis.folds import make_folds
from studies.analysis.plot import plot_losses
from studies.analysis.retraining import Repeated, cross_validate, retrain
from studies.analysis.tensorboard_log import TensorBoardLog
from studies.dimension import Dimension
from studies.keras_tuner_shared import shared_keras_tuner_study
from studies.keras_tuner_study import KerasTunerStudy
from studies.optuna_study import OptunaStudy
from studies.overfitting import LossCurves, OverfitReport, OverfitVerdict, check_overfitting
from studies.schedules.families import FAMILIES
from studies.schedules.schedule import make_schedule, rate_table
from studies.space.differences import ForeignStudy
from studies.space.edges import AtEdge, Edge, at_edge, widen
from studies.space.model_hyperparameters import own_dimensions
from studies.space.optimizer_range import OptimizerRange
from studies.space.search_space import SearchSpace
from studies.storage.database import NoSuchStudy, StorageOfAnotherVersion, StorageUnreachable
from studies.storage.slots import StudyProgress, WorkerSeen
from studies.storage.stored_study import kept_attributes
from studies.storage.worker import Worker
from studies.study import Study, best_of
from studies.trainer import EpochDecision, EpochEnded, StopTraining, Trained, Trainer
from studies.training.checkpoint import BrokenCheckpoint, TrialCheckpoint
from studies.training.loop_cache import LoopCache
from studies.trial import TrialConfig, TrialResult, TrialState

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
    "rate_table",
    "retrain",
    "shared_keras_tuner_study",
    "widen",
]
