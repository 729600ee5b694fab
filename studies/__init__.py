"""Search for hyperparameters inside the bounds from range tests, with Optuna or KerasTuner."""

from studies.analysis.evaluation import Evaluation, evaluate_trained
from studies.analysis.folds import make_folds
from studies.analysis.further_trainings import FurtherTrainings, Retrained, Round, Training
from studies.analysis.plot import plot_losses
from studies.analysis.tensorboard_log import TensorBoardLog
from studies.cross_validation import CrossValidator
from studies.dimension import Dimension
from studies.keras_tuner_study import KerasTunerStudy
from studies.limits import Limits
from studies.objective import Objective
from studies.optuna_study import OptunaStudy
from studies.overfitting import LossCurves, OverfitReport, OverfitVerdict, check_overfitting
from studies.ranking import best_of, pareto_front, ranked
from studies.schedules.families import FAMILIES
from studies.schedules.registered import register as _  # noqa: F401  # runs when Keras is imported
from studies.schedules.schedule import make_schedule, rate_table
from studies.space.differences import ForeignStudy
from studies.space.edges import AtEdge, Edge, at_edge, widen
from studies.space.model_hyperparameters import own_dimensions
from studies.space.optimizer_range import OptimizerRange
from studies.space.search_space import SearchSpace
from studies.storage.database import NoSuchStudy, StorageOfAnotherVersion
from studies.storage.progress import StudyProgress, WorkerSeen
from studies.storage.retrying import StorageUnreachable
from studies.storage.stored_study import stored_attributes
from studies.storage.worker import Worker
from studies.study import Study
from studies.trainer import Trainer
from studies.training.checkpoint import BrokenCheckpoint, TrialCheckpoint
from studies.training.ended import EpochDecision, EpochEnded, StopTraining, Trained
from studies.training.loop_cache import LoopCache
from studies.trial import TrialConfig, TrialResult, TrialState
from studies.watcher import Watcher

__all__ = [
    "FAMILIES",
    "AtEdge",
    "BrokenCheckpoint",
    "CrossValidator",
    "Dimension",
    "Edge",
    "EpochDecision",
    "EpochEnded",
    "Evaluation",
    "ForeignStudy",
    "FurtherTrainings",
    "KerasTunerStudy",
    "Limits",
    "LoopCache",
    "LossCurves",
    "NoSuchStudy",
    "Objective",
    "OptimizerRange",
    "OptunaStudy",
    "OverfitReport",
    "OverfitVerdict",
    "Retrained",
    "Round",
    "SearchSpace",
    "StopTraining",
    "StorageOfAnotherVersion",
    "StorageUnreachable",
    "Study",
    "StudyProgress",
    "TensorBoardLog",
    "Trained",
    "Trainer",
    "Training",
    "TrialCheckpoint",
    "TrialConfig",
    "TrialResult",
    "TrialState",
    "Watcher",
    "Worker",
    "WorkerSeen",
    "at_edge",
    "best_of",
    "check_overfitting",
    "evaluate_trained",
    "make_folds",
    "make_schedule",
    "own_dimensions",
    "pareto_front",
    "plot_losses",
    "ranked",
    "rate_table",
    "stored_attributes",
    "widen",
]
