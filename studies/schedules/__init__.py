"""Families of learning-rate schedules, and the rate that each gives to every step."""
