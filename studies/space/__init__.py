"""Define the search space: the values that trials may take, in one form for every engine."""
