"""Propose the values of trials, with Optuna's samplers and KerasTuner's oracles."""
