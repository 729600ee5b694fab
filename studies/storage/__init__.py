"""Store a study, and share it between several workers."""
