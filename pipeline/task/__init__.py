"""Import, check and prepare the user's model and data for training."""
