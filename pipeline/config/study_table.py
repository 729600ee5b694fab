"""Define the keys of the search, each with its default and its law."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic import field_validator as check

from pipeline.config.list_values import (
    BatchSizes,
    Directions,
    FirstConfigs,
    ObjectiveNames,
    Schedules,
)
from pipeline.config.number_values import (
    Count,
    CountOrZero,
    DurationOrNone,
    Fraction,
    Gap,
    LowAndHigh,
    MomentumOrNone,
    NumberOrNone,
    NumFolds,
    Patience,
    RangeOrNone,
    Seed,
    seconds_of,
)
from pipeline.config.study_laws import (
    SAMPLERS,
    SAMPLERS_OF,
    are_trials,
    belongs_to_engine,
    fits_the_objective,
    has_walls,
    have_folds,
    have_trials,
    is_installed,
    is_not_halved,
    is_of_a_schedule,
)
from pipeline.config.table import Table
from pipeline.config.text_values import FolderOrStorage, JitOrAuto, Prunes, StorageUrl
from pipeline.config.values import NONE, listed
from studies.judging.limits import Limits
from studies.judging.pruning import PATIENCE
from studies.objective import OF_TRIALS, VAL_LOSS
from studies.schedules.families import FAMILIES

TOP_RETRAINED = 3
HELD_OUT = 0.2
# Keys for the steps after the search: if they change, a finished study goes on and is not refused.
AFTER_SEARCH = (
    "top_retrained",
    "retrain_seeds",
    "folds",
    "stratified",
    "mixes_validation",
    "rank_by",
    "widen",
    "refit",
    "keep_top",
)
# Two studies that differ in another key are two studies.
MAY_CHANGE = (
    *AFTER_SEARCH,
    *("num_trials", "stop_after", "target", "max_trial_time"),  # when a study or a trial ends
    *("storage", "warm_start", "grace_s", "tensorboard"),
)
# A study of an earlier version has no such key. It goes on as long as the key has its default.
ADDED_LATER = ("jit",)


def _samplers(engine: str) -> str:
    return ", ".join(SAMPLERS_OF[engine])


class StudyConfig(Table):
    """The search inside the bounds from the range test."""

    engine: Literal["optuna", "keras_tuner"] = Field("optuna", description='"optuna" or "keras_tuner"')
    num_trials: Count = Field(40, description="may be raised later: a finished study goes on")
    epochs: Count = Field(20, description="of each trial; its score is the best value of the objective among them")
    objective: ObjectiveNames = Field(
        VAL_LOSS.name,
        description='what is looked for: "val_loss", "loss", or a compiled metric, as in "val_auc"; or a list of them, '
        f"after the first also {listed(OF_TRIALS)}",
    )
    direction: Directions = Field(
        "auto",
        description='whether the (first) objective is better when smaller, "min", or larger, "max"; or a list, one for '
        "each objective",
    )
    batch_sizes: BatchSizes = Field((32,), description="the range test uses the first, or each: see per_batch_size")
    schedules: Schedules = Field(("fixed", "exponential", "triangular"), description=f"any of {', '.join(FAMILIES)}")
    searches_warmup: bool = Field(False, description="true searches the length of a warm-up if a schedule has one")
    weight_decay: RangeOrNone = Field(None, description='[low, high], searched; "none" leaves it to the optimizer')
    momentum: MomentumOrNone = Field(None, description='[low, high], searched; beta_1 of Adam and its kind; or "none"')
    sampler: Literal[SAMPLERS] = Field(  # type: ignore[valid-type]  # the lists of the engines, so that none is missing
        "tpe",
        description=f"with optuna {_samplers('optuna')}; with keras_tuner {_samplers('keras_tuner')}; "
        "random, qmc and grid learn nothing from trials, also not from those that fail; "
        '"arms" tests the range of an optimizer when the study turns to it, and may leave its bounds',
    )
    seed: Seed = Field(0, description="everything random comes from it")
    stop_after: CountOrZero = Field(
        0, description="the study ends after so many trials in a row without a better score; 0 is never"
    )
    target: NumberOrNone = Field(None, description='a score that is enough: the study ends with it; or "none"')
    max_trial_time: DurationOrNone = Field(
        NONE, description='a trial that takes longer, such as "20m", ends with what it reached; or "none"'
    )
    max_parameters: Annotated[int, Field(ge=0)] = Field(
        0, description="a model with more parameters is not trained; 0 is no limit"
    )
    patience: Patience = Field(
        PATIENCE, description='a trial ends if it has not improved for this part of its epochs; 0 or "none": never'
    )
    prunes: Prunes = Field(
        False,
        description='"median", or true, cuts trials, and their further folds, that are worse than their peers\' at the '
        'same phase; "hyperband" halves successively: at half and three quarters of its schedule a trial pauses, and '
        'goes on if it is among the best third; or "none", false',
    )
    max_gap: Gap = Field(
        None, description='the largest validation loss minus training loss that the best trial may have; or "none"'
    )
    validation_fraction: Fraction = Field(
        HELD_OUT, description="part of the training data, held out if the task has no validation data"
    )
    top_retrained: CountOrZero = Field(
        TOP_RETRAINED,
        description="so many of the best trials are trained again with fresh seeds; 0 is none",
    )
    retrain_seeds: Count = Field(3, description="fresh seeds for each of them")
    folds: NumFolds = Field(0, description="they are trained on each of so many folds of the data too; 0 is none")
    score_folds: NumFolds = Field(
        0,
        description="each trial's score is the mean over so many folds, and a trial that is clearly worse on its first "
        "folds is cut; 0 scores it by the validation data",
    )
    stratified: bool = Field(False, description="every fold must have the same share of each class")
    mixes_validation: bool = Field(
        False, description="true cuts folds from the task's own validation data too, not from training data alone"
    )
    rank_by: Literal["mean", "trial"] = Field(
        "mean",
        description='the best of them has the best "mean", over folds or else over seeds; or is the best "trial"',
    )
    widen: bool = Field(
        False, description="true goes on in a wider study if the best rate lies at an edge of its bounds"
    )
    refit: bool = Field(
        False,
        description="true trains the winner once more, on training and validation data together, for its best number "
        "of epochs; the test data judge best/refitted.keras",
    )
    keep_top: Count = Field(1, description="models of so many of the best trials are saved; of the others in top/")
    jit: JitOrAuto = Field(
        "auto",
        description='whether XLA compiles the training: true, false, or "auto" for where steps measured both ways show '
        "that it pays; a study keeps to its choice, but another study may choose otherwise, and round otherwise",
    )
    tensorboard: bool = Field(
        False, description="true writes each trial's losses, rates and hyperparameters to tensorboard/ in the results"
    )
    first: FirstConfigs = Field(
        (),
        description="configs of your own that are tried first, as [[study.first]] tables of values by name: optimizer, "
        "lr, schedule, batch_size, the model's own; what is missing the sampler chooses",
    )
    warm_start: FolderOrStorage = Field(
        "",
        repr=False,
        description="the results of an earlier study of the same model, a folder or a storage: the sampler knows its "
        "trials that lie in the space, and its best are tried first",
    )
    storage: StorageUrl = Field(
        "", repr=False, description='"" is SQLite in the state directory; give a database URL in LRRT_STORAGE'
    )
    grace_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        60.0, description="a worker without a sign of life for so many seconds is lost; others train its trial"
    )
    fallback_range: LowAndHigh = Field((1e-5, 1e-1), description="[low, high], searched if a range test has no answer")

    @property
    def objectives(self) -> tuple[str, ...]:
        """The names of the objectives; the first ranks trials."""
        return (self.objective,) if isinstance(self.objective, str) else self.objective

    @property
    def max_trial_s(self) -> float | None:
        """The longest that a trial may take, in seconds; None is no limit."""
        return None if self.max_trial_time == NONE else seconds_of(self.max_trial_time)

    @property
    def limits(self) -> Limits:
        """The limits of the study."""
        return Limits(self.stop_after or None, self.target, self.max_parameters or None)

    @model_validator(mode="before")
    @classmethod
    def _few_of_few(cls, given: Any) -> Any:
        """Give a study of one or two trials another default, since it has no third trial to train again."""
        num_trials = given.get("num_trials") if isinstance(given, dict) else None
        if isinstance(num_trials, int) and 1 <= num_trials < TOP_RETRAINED:
            return {"top_retrained": num_trials, **given}
        return given

    _direction_law = check("direction")(fits_the_objective)
    _warmup_law = check("searches_warmup")(is_of_a_schedule)
    _sampler_law = check("sampler")(belongs_to_engine)
    _widen_law = check("widen")(has_walls)
    _tensorboard_law = check("tensorboard")(is_installed)
    _top_law = check("top_retrained", "keep_top")(are_trials)
    _score_folds_law = check("score_folds")(is_not_halved)
    _folds_law = check("folds")(have_trials)
    _of_folds_law = check("stratified", "mixes_validation")(have_folds)
