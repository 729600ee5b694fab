"""The run directory: its lock, its owner and what is stored in it."""
