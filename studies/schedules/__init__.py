"""Define families of learning-rate schedules, and compute the rate of every step."""
