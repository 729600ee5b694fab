"""Milliseconds a step of a range test: our loop against the same ramp driven by a callback of `fit`.

    python benchmarks/range_test_speed.py

The digits MLP (two dense layers), batches of 32, 100 steps from 1e-7 to 10, Adam. Both ways are warm: what
each traces at its first call is not counted.
"""

from __future__ import annotations

import time

import keras
import numpy as np
from study_speed import digits_mlp
from tables import print_table

from lrrt import Loops, Ramp
from lrrt.range_test import run_range_test
from pipeline.digits_example import load_data

NUM_PAIRS = 9


class FitRamp(keras.callbacks.Callback):
    """What Keras LR finders do: set the rate before each batch, note the loss after it."""

    def __init__(self, rates: np.ndarray) -> None:
        super().__init__()
        self.rates, self.losses, self.step = rates, [], 0

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        self.model.optimizer.learning_rate = float(self.rates[self.step])

    def on_train_batch_end(self, batch: int, logs: dict) -> None:
        self.losses.append(logs["loss"])
        self.step += 1
        if self.step == len(self.rates):
            self.model.stop_training = True


def main() -> None:
    """Measure in turn and print."""
    data, ramp, build_model = load_data()["train"], Ramp(), digits_mlp().build_model
    loops = Loops(build_model, data, optimizers=["adam"])
    model = build_model()
    weights = model.get_weights()

    def by_loop() -> None:
        run_range_test(loops, ramp, repeats=1)

    def by_fit() -> None:
        model.set_weights(weights)
        callback = FitRamp(ramp.rates())
        model.fit(*data, batch_size=32, epochs=10, callbacks=[callback], verbose=0)
        assert callback.step == ramp.num_steps

    ways = {"lrrt, the compiled loop": by_loop, "the same ramp as a callback of fit": by_fit}
    samples: dict[str, list[float]] = {way: [] for way in ways}
    for run in ways.values():
        run()
    for _ in range(NUM_PAIRS):
        for way, run in ways.items():
            began = time.perf_counter()
            run()
            samples[way].append((time.perf_counter() - began) / ramp.num_steps * 1e3)
    print_table("Range test, digits MLP, batch 32, 100 steps", "ms a step", samples, ours="lrrt, the compiled loop")


if __name__ == "__main__":
    main()
