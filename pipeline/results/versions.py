"""Look up the versions of Python and of the libraries behind a run."""

from importlib.metadata import PackageNotFoundError, version
from platform import python_version

DISTRIBUTIONS = ("lrrt", "tensorflow", "keras", "optuna", "keras-tuner", "numpy")


def versions() -> dict[str, str]:
    """Return the version of Python and of each library that a result may depend on, without an import."""
    return {"python": python_version(), **{name: _version(name) for name in DISTRIBUTIONS}}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
