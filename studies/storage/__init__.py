"""Where a study is stored, and how several workers share it."""
