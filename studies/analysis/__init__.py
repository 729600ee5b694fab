"""Learn from a study that has ended: further trainings, importance, plots."""
