"""What a person sees of a run, and how a person stops it."""
