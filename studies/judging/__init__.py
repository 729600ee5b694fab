"""Judge trials beside each other: their ranking, which are pruned, and when a study has enough."""
