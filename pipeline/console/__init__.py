"""Show a run to a person, and let the person stop it."""
