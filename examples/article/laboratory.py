"""Run what the page needs: range tests and trainings of the article's network on its images."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
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
    def loops(self) -> lrrt.Loops:
        """What trains the article's network."""
        return self._loops(build_convnet, self.images.train, BATCH_SIZE)

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
        self,
        optimizer: str,
        lr: float,
        schedule: str = "fixed",
        batch_size: int = BATCH_SIZE,
        **parameters: float,
    ) -> TrialResult:
        """Train the article's network from the same initial weights; the score is its best validation loss."""
        config = TrialConfig(optimizer, schedule, lr, batch_size, tuple(sorted(parameters.items())))
        trainer = Trainer(self.loops, epochs=self.epochs, patience=None)
        return self._once(str(config), lambda: trainer.train(config).result)

    def overfit(self, count: int, epochs: int, lr: float) -> TrialResult:
        """Train with Adam on a few images for long."""
        config = TrialConfig("adam", "fixed", lr, count // 4)

        def train() -> TrialResult:
            loops = self._loops(build_convnet, self.images.first(count), config.batch_size)
            return Trainer(loops, epochs=epochs, patience=None).train(config).result

        return self._once(f"{count} images, {epochs} epochs, {config}", train)

    def duration(self) -> str:
        """Return how long all range tests and trainings took, those of earlier calls included."""
        seconds, processor = (
            sum(times) / 60 for times in zip(*(times for times, _ in self.done.values()), strict=True)
        )
        return f"{seconds:.1f} minutes, and {processor:.1f} minutes of processors"

    def _once(self, what: str, make: Callable[[], Any]) -> Any:
        key = f"{self.images.source}, {len(self.images.train[0])} images, {self.epochs} epochs: {what}"
        if key not in self.done:
            began = time.monotonic(), time.process_time()
            made = make()
            self.done[key] = (time.monotonic() - began[0], time.process_time() - began[1]), made
        return self.done[key][1]

    def _loops(
        self, build_model: Callable[[], keras.Model], data: tuple[np.ndarray, np.ndarray], batch_size: int
    ) -> lrrt.Loops:
        validation = self.images.validation
        return lrrt.Loops(build_model, data, optimizers=OPTIMIZERS, batch_size=batch_size, validation_data=validation)
