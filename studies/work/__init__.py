"""Turn the trials of a study into pieces of work: each is attempted once, alone or on folds, and watched."""
