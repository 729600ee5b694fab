"""The training of one trial: its loop, its callbacks, its checkpoint."""
