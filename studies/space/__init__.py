"""The search space: which values trials may take, in one form for every engine."""
