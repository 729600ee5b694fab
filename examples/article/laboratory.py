"""Run what the page needs: range tests and trainings of the article's network on its images."""

from __future__ import annotations

import sys
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
from images import Images

import lrrt
from lrrt.bounds import Bounds
from studies import Trainer, TrialConfig, TrialResult

sys.path.insert(0, str(Path(__file__).parents[1]))

from convnet import build_model as build_convnet

BATCH_SIZE = 250
NUM_EPOCHS = 5  # of the range test, and of each training
OPTIMIZERS = ("sgd", "adam")
START_LR, END_LR = 1e-4, 1.0
MIN_STEPS = 60  # of the range test, with fewer images than the article has


@dataclass(frozen=True)
class Laboratory:
    """The images, and what is run on them; `done` are range tests and trainings that no section runs again."""

    images: Images
    epochs: int = NUM_EPOCHS
    done: MutableMapping[str, Any] = field(default_factory=dict)

    @property
    def num_batches(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.images.train[0]) // BATCH_SIZE)

    @cached_property
    def tested(self) -> lrrt.RangeTestResult:
        """The article's range test of SGD and Adam: rates from 1e-4 to 1 in five epochs."""
        return self.range_test(optimizers=OPTIMIZERS)

    @cached_property
    def trainer(self) -> Trainer:
        """What trains the article's network."""
        return self._trainer(build_convnet)

    def range_test(
        self, build_model: Callable[..., keras.Model] = build_convnet, **options: Any
    ) -> lrrt.RangeTestResult:
        """Test rates from 1e-4 to 1, once, in as many steps as five epochs have."""
        defaults = {
            "ramp": lrrt.Ramp(START_LR, END_LR, max(MIN_STEPS, NUM_EPOCHS * self.num_batches)),
            "batch_size": BATCH_SIZE,
            "repeats": 1,
            "training_steps": self.epochs * self.num_batches,
            "validation_data": self.images.validation,
        }
        return self._once(
            f"range test of {build_model.__qualname__}: {options}",
            lambda: lrrt.range_test(build_model, self.images.train, **{**defaults, **options}),
        )

    def bounds(self, optimizer: str) -> Bounds:
        """Return what the article's test says of an optimizer."""
        return self.tested.bounds[optimizer]

    def train(
        self, optimizer: str, lr: float, schedule: str = "fixed", batch_size: int = BATCH_SIZE, **parameters: float
    ) -> TrialResult:
        """Train the article's network from the same initial weights; the score is its best validation loss."""
        config = TrialConfig(optimizer, schedule, lr, batch_size, tuple(sorted(parameters.items())))
        return self._once(str(config), lambda: self.trainer.train(config).result)

    def overfit(self, count: int, epochs: int, lr: float) -> TrialResult:
        """Train with Adam on a few images for long."""
        config = TrialConfig("adam", "fixed", lr, count // 4)

        def train() -> TrialResult:
            loops = lrrt.Loops(
                build_convnet,
                self.images.first(count),
                optimizers=["adam"],
                batch_size=config.batch_size,
                validation_data=self.images.validation,
            )
            return Trainer(loops, epochs=epochs, patience=None).train(config).result

        return self._once(f"{count} images, {epochs} epochs, {config}", train)

    def _once(self, what: str, make: Callable[[], Any]) -> Any:
        key = f"{self.images.source}, {len(self.images.train[0])} images, {self.epochs} epochs: {what}"
        if key not in self.done:
            self.done[key] = make()
        return self.done[key]

    def _trainer(self, build_model: Callable[[], keras.Model]) -> Trainer:
        loops = lrrt.Loops(
            build_model,
            self.images.train,
            optimizers=OPTIMIZERS,
            batch_size=BATCH_SIZE,
            validation_data=self.images.validation,
        )
        return Trainer(loops, epochs=self.epochs, patience=None)
