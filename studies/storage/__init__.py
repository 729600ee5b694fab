"""Reach databases through outages, and write files whole."""
