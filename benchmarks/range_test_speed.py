"""Milliseconds of a range test: our default call against the same ramp driven by a callback of `fit`.

    python benchmarks/range_test_speed.py [--pairs 9]

The digits MLP (two dense layers), batches of 32, Adam, three repeats of at most 100 steps from 1e-7 to 10: ours ends a
ramp where the loss has broken down, and repeats it only in doubt; `fit` takes all steps. Both ways are warm: what each
traces at its first call is not counted. Then the same of six optimizers in one call, warm, and the first such call.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import keras
import numpy as np
from arguments import count
from study_speed import digits_mlp
from tables import compare, show

from lrrt import Loops, Ramp
from lrrt.range_test import run_range_test
from pipeline.digits_example import load_data

REPEATS = 3
SIX = ("sgd", "adam", "rmsprop", "adagrad", "lion", "nadam")
OURS, FIT = "lrrt, the compiled loop", "the same ramp as a callback of fit"


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
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--pairs", type=count, default=9, help="of a range test of each way")
    num_pairs = parser.parse_args().pairs
    whole, a_step, _ = measured(["adam"], num_pairs)
    show(compare("A step of a range test, digits MLP, batches of 32, ms", a_step, ours=OURS))
    show(compare("A range test of three repeats, digits MLP, batches of 32, ms", whole, ours=OURS))
    together, _, first = measured(SIX, max(num_pairs // 3, 1))
    show(compare("A range test of six optimizers, three repeats each, digits MLP, ms", together, ours=OURS))
    show(compare("The same, the first in a process: building, tracing and all, ms", first, ours=OURS))


def measured(
    optimizers: Sequence[str], num_pairs: int
) -> tuple[dict[str, list[float]], dict[str, list[float]], dict[str, list[float]]]:
    """Return the milliseconds of each way: of whole range tests, of a step of them, and of the first one."""
    data, ramp, build_model = load_data()["train"], Ramp(), digits_mlp().build_model
    kept: dict[str, tuple[keras.Model, Any]] = {}

    @cache
    def loops() -> Loops:
        return Loops(build_model, data, optimizers=optimizers)

    def by_loop() -> int:
        return run_range_test(loops(), ramp, repeats=REPEATS).num_steps

    def by_fit() -> int:
        for name in optimizers:
            if name not in kept:
                made = build_model()
                made.compile(name, made.loss)
                kept[name] = made, made.get_weights()
            model, weights = kept[name]
            for _ in range(REPEATS):
                callback = FitRamp(ramp.rates())
                model.set_weights(weights)
                model.fit(*data, batch_size=32, epochs=10, callbacks=[callback], verbose=0)
                assert callback.step == ramp.num_steps
        return len(optimizers) * REPEATS * ramp.num_steps

    ways = {OURS: by_loop, FIT: by_fit}
    whole: dict[str, list[float]] = {way: [] for way in ways}
    a_step: dict[str, list[float]] = {way: [] for way in ways}
    first = {way: [timed(run)[0]] for way, run in ways.items()}
    for _ in range(num_pairs):
        for way, run in ways.items():
            milliseconds, num_steps = timed(run)
            whole[way].append(milliseconds)
            a_step[way].append(milliseconds / num_steps)
    return whole, a_step, first


def timed(run: Callable[[], int]) -> tuple[float, int]:
    """Return the milliseconds of a run and what it returns."""
    began = time.perf_counter()
    result = run()
    return (time.perf_counter() - began) * 1e3, result


if __name__ == "__main__":
    main()
