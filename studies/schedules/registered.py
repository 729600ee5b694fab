"""Let Keras know the schedules of this package as soon as both are imported, so that saved models with them load."""

from types import ModuleType

from wrapt import when_imported


@when_imported("keras")
def register(module: ModuleType) -> None:
    """Import the classes of schedules, which registers them; `import studies` alone imports no Keras."""
    import studies.schedules.cyclical  # noqa: F401  # its import is what registers them
