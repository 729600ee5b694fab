"""Define, read and check the config of a stage."""
