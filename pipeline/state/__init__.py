"""Manage the run directory: its lock, its owner and its files."""
