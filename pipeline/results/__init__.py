"""Save the results that other programs read: models, tables, the space, the manifest, the form of summary.json."""
