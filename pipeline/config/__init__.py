"""What a stage is asked to do: the tables and keys of its config."""
