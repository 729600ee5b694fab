"""Save the results that other programs read: models, the space, the manifest, the form of summary.json."""
