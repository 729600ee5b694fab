"""What proposes the values of trials: Optuna's samplers and KerasTuner's oracles."""
