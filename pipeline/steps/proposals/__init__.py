"""What is proposed to a study: an engine, and values that come first."""
