"""What is checked of a task and a space before the first trial: validation data, penalties, objectives, lengths."""
