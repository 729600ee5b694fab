"""Define the tables and keys of a stage's config, each with its default and its law."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic import field_validator as check
from pydantic_core.core_schema import ValidationInfo

from lrrt.confirmation import NUM_RATES
from lrrt.monitor import ON_VALIDATION, VALIDATION_EVERY
from lrrt.reading import MIN_POINTS
from pipeline.config.list_values import (
    WITHOUT_MOMENTUM,
    ClassWeight,
    Optimizers,
    SbatchOptions,
)
from pipeline.config.number_values import (
    MAX_COUNT,
    Count,
    CountOrZero,
    Rate,
)
from pipeline.config.study_table import StudyConfig
from pipeline.config.table import Table
from pipeline.config.text_values import JobTime, Metric, OneLine, OptionalReference, Reference
from pipeline.config.values import MistakenKey, listed

MAX_GPUS = 64  # more in one machine must be a typing error


class TaskConfig(Table):
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


class RangeTestConfig(Table):
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


class ClusterConfig(Table):
    """How `lrrt submit` hands the stage to a cluster; it may change during a study."""

    kind: Literal["slurm", "local"] = Field("slurm", description='"slurm", or "local": the same jobs on this machine')
    partition: OneLine = Field("", description='"" is the cluster\'s default')
    account: OneLine = Field("", description='"" is yours')
    time: JobTime = Field("", description='the limit of each job, such as "4:00:00"')
    gpus_per_worker: Annotated[int, Field(ge=0, le=MAX_GPUS)] = Field(1, description="several train one trial together")
    sbatch: SbatchOptions = Field((), description='further options of sbatch, such as ["--mem=16G"]')
    max_rounds: Count = Field(3, description="how often workers are submitted while trials are left")


class StageConfig(Table):
    """One stage: a `task`, its `range_test`, a `study` inside the bounds, and the `cluster` that it may run on."""

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
