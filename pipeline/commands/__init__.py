"""Define the verbs of the command `lrrt`, their options and their exit codes."""
