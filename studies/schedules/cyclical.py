"""Add the schedules that Keras lacks: cycles (Smith 2015), one cycle (Smith 2018) and a warm-up before any other."""

from typing import Any, Self

import keras
from keras import ops

Schedule = Any  # keras.optimizers.schedules.LearningRateSchedule; Keras is untyped
Rate = Any  # a tensor of rates, shaped like the steps asked for


@keras.saving.register_keras_serializable(package="lrrt")
class CyclicalRate(keras.optimizers.schedules.LearningRateSchedule):
    """Climb from `base_lr` to the peak and back in straight lines, `num_cycles` times in `num_steps` steps.

        rate = base_lr + (peak_lr - base_lr) * height * cycle_factor**cycle * final_amplitude**t

    with `t = step / num_steps` and `cycle = floor(num_cycles * t)`. `height` is 0 at both ends of a cycle and 1 in its
    middle. Smith 2015, arXiv:1506.01186, section 3.1: "triangular" has both factors at 1, "triangular2" has
    `cycle_factor=0.5`, "exp_range" has `final_amplitude` (his gamma is `final_amplitude**(1 / num_steps)`). His
    stepsize is half a cycle. Steps after `num_steps` go on cycling.

    >>> schedule = CyclicalRate(base_lr=0.0, peak_lr=1.0, num_steps=8, num_cycles=2, cycle_factor=0.5)
    >>> [float(schedule(step)) for step in range(8)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.25, 0.5, 0.25]
    """

    def __init__(
        self,
        base_lr: float,
        peak_lr: float,
        num_steps: int,
        num_cycles: int,
        cycle_factor: float = 1.0,
        final_amplitude: float = 1.0,
    ) -> None:
        super().__init__()
        self.base_lr = base_lr
        self.peak_lr = peak_lr
        self.num_steps = num_steps
        self.num_cycles = num_cycles
        self.cycle_factor = cycle_factor
        self.final_amplitude = final_amplitude

    def __call__(self, step: Any) -> Rate:
        """Return the rate of one step, or of a tensor of steps."""
        progress = _progress(step, self.num_steps)
        phase = progress * self.num_cycles
        cycle = ops.floor(phase)
        height = 1.0 - ops.abs(2.0 * (phase - cycle) - 1.0)
        amplitude = ops.power(self.cycle_factor, cycle) * ops.power(self.final_amplitude, progress)
        return self.base_lr + (self.peak_lr - self.base_lr) * height * amplitude

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this schedule again."""
        names = ("base_lr", "peak_lr", "num_steps", "num_cycles", "cycle_factor", "final_amplitude")
        return {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable(package="lrrt")
class OneCycleRate(keras.optimizers.schedules.LearningRateSchedule):
    """Climb from `base_lr` to the peak, return to it, then fall to `final_lr`; three straight lines.

    The climb takes `rise_fraction` of the training, the last fall `tail_fraction`, and the return the rest. Smith
    2018, arXiv:1803.09820, section 4.1. Steps after `num_steps` stay at `final_lr`.

    >>> schedule = OneCycleRate(1.0, 5.0, 0.0, num_steps=10, rise_fraction=0.4, tail_fraction=0.2)
    >>> [round(float(schedule(step)), 5) for step in range(11)]
    [1.0, 2.0, 3.0, 4.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.5, 0.0]
    """

    def __init__(
        self,
        base_lr: float,
        peak_lr: float,
        final_lr: float,
        num_steps: int,
        rise_fraction: float,
        tail_fraction: float,
    ) -> None:
        super().__init__()
        self.base_lr = base_lr
        self.peak_lr = peak_lr
        self.final_lr = final_lr
        self.num_steps = num_steps
        self.rise_fraction = rise_fraction
        self.tail_fraction = tail_fraction

    def __call__(self, step: Any) -> Rate:
        """Return the rate of one step, or of a tensor of steps."""
        progress = _progress(step, self.num_steps)
        tail_start = 1.0 - self.tail_fraction
        rise = _line(progress, 0.0, self.rise_fraction, self.base_lr, self.peak_lr)
        fall = _line(progress, self.rise_fraction, tail_start, self.peak_lr, self.base_lr)
        tail = _line(progress, tail_start, 1.0, self.base_lr, self.final_lr)
        return ops.where(progress < self.rise_fraction, rise, ops.where(progress < tail_start, fall, tail))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this schedule again."""
        names = ("base_lr", "peak_lr", "final_lr", "num_steps", "rise_fraction", "tail_fraction")
        return {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable(package="lrrt")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Climb in a straight line to `peak_lr` for `warmup_steps` steps, then follow `schedule` from its first step.

    The gradual warm-up of Goyal et al. 2017, arXiv:1706.02677, section 2.2, by steps. Step 0 takes `start_fraction` of
    the peak: a rate of 0 would waste the step. Keras has a warm-up in CosineDecay
    only, and that takes no tensor of steps.

    >>> constant = keras.optimizers.schedules.PolynomialDecay(1.0, decay_steps=1, end_learning_rate=1.0)
    >>> [round(float(WarmUp(constant, 1.0, warmup_steps=2, start_fraction=0.5)(step)), 5) for step in range(4)]
    [0.5, 0.75, 1.0, 1.0]
    """

    def __init__(self, schedule: Schedule, peak_lr: float, warmup_steps: int, start_fraction: float) -> None:
        super().__init__()
        self.schedule = schedule
        self.peak_lr = peak_lr
        self.warmup_steps = warmup_steps
        self.start_fraction = start_fraction

    def __call__(self, step: Any) -> Rate:
        """Return the rate of one step, or of a tensor of steps."""
        step = ops.convert_to_tensor(step)
        progress = _progress(step, self.warmup_steps)
        climbing = _line(progress, 0.0, 1.0, self.start_fraction * self.peak_lr, self.peak_lr)
        following = self.schedule(ops.maximum(step - self.warmup_steps, 0))
        return ops.where(progress < 1.0, climbing, following)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this schedule again, the inner schedule as its own config."""
        return {
            "schedule": keras.optimizers.schedules.serialize(self.schedule),
            "peak_lr": self.peak_lr,
            "warmup_steps": self.warmup_steps,
            "start_fraction": self.start_fraction,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make the schedule that `get_config` described."""
        return cls(**{**config, "schedule": keras.optimizers.schedules.deserialize(config["schedule"])})


def _progress(step: Any, num_steps: int) -> Any:
    """Return `step / num_steps`."""
    return ops.cast(step, keras.config.floatx()) / num_steps


def _line(progress: Any, start: float, end: float, from_lr: float, to_lr: float) -> Rate:
    return from_lr + (to_lr - from_lr) * ops.clip((progress - start) / (end - start), 0.0, 1.0)
