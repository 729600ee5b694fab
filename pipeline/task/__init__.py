"""The user's model and data: imported, checked and prepared for training."""
