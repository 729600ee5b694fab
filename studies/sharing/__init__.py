"""Share a study between workers: the board of pieces of work, who holds them, and who is lost."""
