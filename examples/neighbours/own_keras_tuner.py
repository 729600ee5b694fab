"""A KerasTuner script of your own that searches the narrowed space; it imports KerasTuner alone.

python own_keras_tuner.py out/space.json
"""

import json
import math
import sys
import tempfile

import keras_tuner


class Tuner(keras_tuner.RandomSearch):
    """Scores trials by a stand-in for your own training, lowest at a rate of 1e-2."""

    def run_trial(self, trial, *args, **kwargs):
        hp = trial.hyperparameters
        (rate,) = (hp.get(name) for name in hp.values if name.startswith("lr__") and name in hp)  # one is active
        return math.log10(rate / 1e-2) ** 2


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        space = json.load(file)
    hyperparameters = keras_tuner.HyperParameters.from_config(space["keras_tuner"])
    with tempfile.TemporaryDirectory() as folder:
        tuner = Tuner(
            hypermodel=lambda hp: None,
            hyperparameters=hyperparameters,
            tune_new_entries=False,
            objective=keras_tuner.Objective("default_objective", "min"),
            max_trials=20,
            seed=1,
            directory=folder,
        )
        tuner.search(verbose=0)
        print(json.dumps(tuner.get_best_hyperparameters()[0].values))


if __name__ == "__main__":
    main()
