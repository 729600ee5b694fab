"""Train one trial: its loop, its callbacks, its checkpoint."""
