"""Split a task's data, cut it into folds, and say how it is used."""
