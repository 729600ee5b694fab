"""Define the tables and keys of a stage's config, each with its default and its law."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic import field_validator as check
from pydantic_core.core_schema import ValidationInfo

from lrrt.confirmation import NUM_RATES
from lrrt.monitor import ON_VALIDATION, VALIDATION_EVERY
from lrrt.reading import MIN_POINTS
from pipeline.config.values import (
    MAX_COUNT,
    NONE,
    SAMPLERS,
    SAMPLERS_OF,
    WITHOUT_MOMENTUM,
    BatchSizes,
    ClassWeight,
    Count,
    CountOrZero,
    Directions,
    DurationOrNone,
    FirstConfigs,
    Fraction,
    Gap,
    JobTime,
    LowAndHigh,
    Metric,
    MistakenKey,
    MomentumOrNone,
    NumberOrNone,
    NumFolds,
    ObjectiveNames,
    OneLine,
    Optimizers,
    OptionalReference,
    Patience,
    RangeOrNone,
    Rate,
    Reference,
    SbatchOptions,
    Schedules,
    Seed,
    StorageUrl,
    listed,
    sampler_law,
    seconds_of,
    tensorboard_law,
)
from studies.limits import Limits
from studies.objective import OF_TRIALS, TRAIN_LOSS, VAL_LOSS
from studies.schedules.families import FAMILIES
from studies.trainer import PATIENCE

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

# Keys that end a study or a trial early: they may change from run to run, as the number of trials may.
LIMITS = ("stop_after", "target", "max_trial_time")


def _samplers(engine: str) -> str:
    return ", ".join(SAMPLERS_OF[engine])


MAX_GPUS = 64  # more in one machine must be a typing error


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True)


class TaskConfig(_Table):
    """What is trained: a model and its data."""

    build_model: Reference = Field(description="build_model() or build_model(hp) -> a compiled keras.Model")
    load_data: Reference = Field(
        description='load_data() or load_data(hp) -> {"train": .., "validation": .., "test": .., "groups": ..}'
    )
    callbacks: OptionalReference = Field(
        "", description='a function that makes the Keras callbacks of a trial, such as "my_task:callbacks"; "" is none'
    )
    split: Literal["auto", "random", "stratified", "group", "time"] = Field(
        "auto",
        description='how rows are held out and cut into folds: "random"; "stratified" by class; "group": whole groups, '
        'from "groups" of load_data; "time": the last rows, trained on what came before. "auto" is by group if there '
        "are groups, by class if labels are classes",
    )
    class_weight: ClassWeight = Field(
        None,
        description='weighs training losses by class: "balanced", a table such as {0 = 1.0, 1 = 5.0}, or "none"; '
        "validation is not weighted, as in fit",
    )
    steps_per_epoch: CountOrZero = Field(
        0, description="batches in an epoch of a trial, after which the next one goes on; 0 is all of the data"
    )


class RangeTestConfig(_Table):
    """The learning-rate range test, which comes first."""

    optimizers: Optimizers = Field(("sgd", "adam"), description="each is tested, and then searched, alone")
    start_lr: Rate = Field(1e-7, description="the first rate of the ramp")
    end_lr: Rate = Field(10.0, description="the last one; the test stops early if the loss diverges")
    num_steps: Annotated[int, Field(ge=MIN_POINTS, le=MAX_COUNT)] = Field(100, description="steps from start to end")
    spacing: Literal["exponential", "linear"] = Field("exponential", description='"exponential" or "linear"')
    repeats: Count = Field(3, description="each with its own initial weights and order of the data")
    monitor: Metric = Field(
        "loss", description='what is watched: "loss", a compiled metric, or either after "val_", as in "val_loss"'
    )
    monitor_mode: Literal["auto", "min", "max"] = Field(
        "auto", description='whether the metric is better when smaller, "min", or larger, "max"'
    )
    confirm_steps: CountOrZero = Field(
        0, description=f"so many training steps at each of {NUM_RATES} rates in the bounds sharpen them; 0 is none"
    )

    per_batch_size: bool = Field(False, description="true tests each of the study's batch sizes, for separate bounds")

    @check("end_lr")
    @classmethod
    def _climbs(cls, end_lr: float, info: ValidationInfo) -> float:
        start_lr = info.data.get("start_lr", 0.0)  # absent if it broke its law, which is then reported
        if start_lr >= end_lr:
            raise ValueError(f"`start_lr < end_lr` must hold, got start_lr={start_lr!r}, end_lr={end_lr!r}.")
        return end_lr

    @check("monitor")
    @classmethod
    def _is_seen_often_enough(cls, monitor: str, info: ValidationInfo) -> str:
        needed = MIN_POINTS * VALIDATION_EVERY
        if monitor.startswith(ON_VALIDATION) and info.data.get("num_steps", needed) < needed:
            raise ValueError(
                f"must come with `num_steps >= {needed}` if it is of validation data, which is read at every "
                f"{VALIDATION_EVERY}th step, got {monitor!r} with num_steps={info.data['num_steps']}."
            )
        return monitor

    @check("monitor_mode")
    @classmethod
    def _losses_fall(cls, mode: str, info: ValidationInfo) -> str:
        monitor = info.data.get("monitor")
        if mode == "max" and monitor in ("loss", "val_loss"):
            raise ValueError(f'must be "min" or "auto" for a loss, got "max" with monitor = "{monitor}".')
        return mode


class StudyConfig(_Table):
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
        description=f"with optuna {_samplers('optuna')}; with keras_tuner {_samplers('keras_tuner')}",
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
    prunes: bool = Field(
        False,
        description="true cuts trials, and their further folds, that are worse than their peers' at the same phase",
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
    tensorboard: bool = Field(
        False, description="true writes each trial's losses, rates and hyperparameters to tensorboard/ in the results"
    )
    first: FirstConfigs = Field(
        (),
        description="configs of your own that are tried first, as [[study.first]] tables of values by name: optimizer, "
        "lr, schedule, batch_size, the model's own; what is missing the sampler chooses",
    )
    warm_start: OneLine = Field(
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

    @check("direction")
    @classmethod
    def _fits_the_objective(cls, direction: str | tuple[str, ...], info: ValidationInfo) -> str | tuple[str, ...]:
        objective = info.data.get("objective", "")
        objectives = (objective,) if isinstance(objective, str) else objective
        directions = (direction,) if isinstance(direction, str) else direction
        if not isinstance(direction, str) and len(directions) != len(objectives):
            raise ValueError(
                f"must have one for each of {len(objectives)} objectives, got a list of {len(directions)}; a loss or a "
                'metric that Keras knows needs only "auto".'
            )
        for one, way in zip(objectives, directions, strict=False):
            if way == "max" and one in (TRAIN_LOSS, VAL_LOSS.name):
                raise ValueError(f'must be "min" or "auto" for a loss, got "max" with objective = "{one}".')
            if way == "max" and one in OF_TRIALS:
                raise ValueError(f'must be "min" or "auto" for "{one}", got "max".')
        return direction

    @check("searches_warmup")
    @classmethod
    def _something_warms_up(cls, searches: bool, info: ValidationInfo) -> bool:
        schedules = info.data.get("schedules", ())
        if searches and schedules and not any(FAMILIES[name].can_warm_up for name in schedules):
            able = listed(tuple(name for name, family in FAMILIES.items() if family.can_warm_up))
            raise ValueError(f"must come with a schedule that can warm up: one of {able}, got {listed(schedules)}.")
        return searches

    @check("sampler")
    @classmethod
    def _belongs_to_engine(cls, sampler: str, info: ValidationInfo) -> str:
        sampler_law(info.data.get("engine"), sampler)
        return sampler

    @check("tensorboard")
    @classmethod
    def _is_installed(cls, tensorboard: bool) -> bool:
        tensorboard_law(tensorboard)
        return tensorboard

    @check("top_retrained")
    @classmethod
    def _are_trials(cls, top: int, info: ValidationInfo) -> int:
        num_trials = info.data.get("num_trials", MAX_COUNT)
        if top > num_trials:
            raise ValueError(f"`top_retrained <= num_trials` must hold, got {top!r} of {num_trials!r} trials.")
        return top

    @check("keep_top")
    @classmethod
    def _are_there(cls, top: int, info: ValidationInfo) -> int:
        num_trials = info.data.get("num_trials", MAX_COUNT)
        if top > num_trials:
            raise ValueError(f"`keep_top <= num_trials` must hold, got {top!r} of {num_trials!r} trials.")
        return top

    @check("folds")
    @classmethod
    def _of_some(cls, folds: int, info: ValidationInfo) -> int:
        if folds and info.data.get("top_retrained") == 0:
            raise ValueError(f"must come with `top_retrained >= 1`, the trials that are trained on folds, got {folds}.")
        return folds

    @check("stratified")
    @classmethod
    def _of_folds(cls, stratified: bool, info: ValidationInfo) -> bool:
        if stratified and info.data.get("folds") == info.data.get("score_folds") == 0:
            raise ValueError("must come with `folds >= 2` or `score_folds >= 2`, got folds=0, score_folds=0.")
        return stratified

    @check("mixes_validation")
    @classmethod
    def _mixes_into_folds(cls, mixes: bool, info: ValidationInfo) -> bool:
        if mixes and info.data.get("folds") == info.data.get("score_folds") == 0:
            raise ValueError("must come with `folds >= 2` or `score_folds >= 2`, got folds=0, score_folds=0.")
        return mixes


class ClusterConfig(_Table):
    """How `lrrt submit` hands the stage to a cluster; it may change during a study."""

    kind: Literal["slurm", "local"] = Field("slurm", description='"slurm", or "local": the same jobs on this machine')
    partition: OneLine = Field("", description='"" is the cluster\'s default')
    account: OneLine = Field("", description='"" is yours')
    time: JobTime = Field("", description='the limit of each job, such as "4:00:00"')
    gpus_per_worker: Annotated[int, Field(ge=0, le=MAX_GPUS)] = Field(1, description="several train one trial together")
    sbatch: SbatchOptions = Field((), description='further options of sbatch, such as ["--mem=16G"]')
    max_rounds: Count = Field(3, description="how often workers are submitted while trials are left")


class StageConfig(_Table):
    """One stage: range tests, then a study inside their bounds."""

    task: TaskConfig
    range_test: RangeTestConfig = RangeTestConfig()
    study: StudyConfig = StudyConfig()
    cluster: ClusterConfig = ClusterConfig()

    @check("study")
    @classmethod
    def _have_momentum(cls, study: StudyConfig, info: ValidationInfo) -> StudyConfig:
        test = info.data.get("range_test")
        without = [name for name in (test.optimizers if test else ()) if name in WITHOUT_MOMENTUM]
        if study.momentum and without:
            raise MistakenKey("momentum", f"must be searched for optimizers that have one, got {listed(without)}.")
        return study

    @check("study")
    @classmethod
    def _is_split_in_one_way(cls, study: StudyConfig, info: ValidationInfo) -> StudyConfig:
        task = info.data.get("task")
        if task and study.stratified and task.split not in ("auto", "stratified"):
            raise MistakenKey("stratified", f'must come with split = "auto" or "stratified", got "{task.split}".')
        return study

    @property
    def range_test_batch_size(self) -> int:
        """Samples per batch in the range test: the first of the study's batch sizes."""
        return self.study.batch_sizes[0]

    @property
    def tested_batch_sizes(self) -> tuple[int, ...]:
        """The batch sizes that have range tests."""
        return self.study.batch_sizes if self.range_test.per_batch_size else self.study.batch_sizes[:1]
