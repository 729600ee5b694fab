"""Knows what a stage is told to do: the tables and keys of its config, each with its default and its law."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic import field_validator as check
from pydantic_core.core_schema import ValidationInfo

from lrrt.reading import MIN_POINTS
from pipeline.laws import (
    MAX_COUNT,
    BatchSizes,
    Count,
    JobTime,
    LowAndHigh,
    OneLine,
    Optimizers,
    Rate,
    Reference,
    SbatchOptions,
    Schedules,
    Seed,
    StorageUrl,
)
from studies.schedules import FAMILIES

MAX_GPUS = 64  # more in one machine is a slip of the finger


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True)


class TaskConfig(_Table):
    """What is trained: a model and its data."""

    build_model: Reference = Field(description="build_model() or build_model(hp) -> a compiled keras.Model")
    load_data: Reference = Field(description='load_data() -> {"train": .., "validation": .., "test": ..}')


class RangeTestConfig(_Table):
    """The learning-rate range test, which comes first."""

    optimizers: Optimizers = Field(("sgd", "adam"), description="each is tested, and then searched, on its own")
    start_lr: Rate = Field(1e-7, description="the first rate of the ramp")
    end_lr: Rate = Field(10.0, description="the last one; the test stops early where the loss diverges")
    num_steps: Annotated[int, Field(ge=MIN_POINTS, le=MAX_COUNT)] = Field(100, description="steps from start to end")
    repeats: Count = Field(3, description="each with its own initial weights and order of the data")

    @check("end_lr")
    @classmethod
    def _climbs(cls, end_lr: float, info: ValidationInfo) -> float:
        start_lr = info.data.get("start_lr", 0.0)  # absent where it broke its own law, which is told then
        if start_lr >= end_lr:
            raise ValueError(f"`start_lr < end_lr` must hold, got start_lr={start_lr!r}, end_lr={end_lr!r}.")
        return end_lr


class StudyConfig(_Table):
    """The search inside the bounds that the range test found."""

    engine: Literal["optuna", "keras_tuner"] = Field("optuna", description='"optuna" or "keras_tuner"')
    num_trials: Count = Field(40, description="may be raised later: a finished study goes on")
    epochs: Count = Field(20, description="of each trial; its score is the best validation loss among them")
    batch_sizes: BatchSizes = Field((32,), description="the range test uses the first")
    schedules: Schedules = Field(("fixed", "exponential", "triangular"), description=f"any of {', '.join(FAMILIES)}")
    sampler: Literal["tpe", "random"] = Field("tpe", description='"tpe" or "random"')
    seed: Seed = Field(0, description="everything random comes from it")
    storage: StorageUrl = Field(
        "", repr=False, description='"" is SQLite in the state directory; give a database URL in LRRT_STORAGE'
    )
    fallback_range: LowAndHigh = Field(
        (1e-5, 1e-1), description="[low, high], searched where a range test has no answer"
    )


class ClusterConfig(_Table):
    """How `lrrt submit` hands the stage to a cluster; it may change during a study."""

    kind: Literal["slurm", "local"] = Field("slurm", description='"slurm", or "local": the same jobs on this machine')
    partition: OneLine = Field("", description='"" is the cluster\'s own default')
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

    @property
    def range_test_batch_size(self) -> int:
        """Samples a batch in the range test: the first of the study's."""
        return self.study.batch_sizes[0]
