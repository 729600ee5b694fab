"""An Optuna script of your own that searches the narrowed space; it imports Optuna alone.

python own_optuna.py out/space.json
"""

import json
import math
import sys

import optuna


def suggest(trial, space):
    """Ask for each value whose conditions hold; those that a condition names come before it."""
    values = {}
    for name, description in space["optuna"].items():
        if all(values.get(parent) in allowed for parent, allowed in space["conditions"][name].items()):
            distribution = optuna.distributions.json_to_distribution(json.dumps(description))
            values[name] = trial._suggest(name, distribution)
    return values


def train(values):
    """Take your own training here; this stand-in is lowest at a rate of 1e-2."""
    (rate,) = (value for name, value in values.items() if name.startswith("lr__"))  # one is active
    return math.log10(rate / 1e-2) ** 2


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        space = json.load(file)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for values in space["first_trials"]:  # what the range tests suggest
        study.enqueue_trial(values)
    study.optimize(lambda trial: train(suggest(trial, space)), n_trials=20)
    print(json.dumps(study.best_params))


if __name__ == "__main__":
    main()
