"""Find the source of the user's modules that a task imports, without importing them."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

INSTALLED = {"site-packages", "dist-packages"}  # folders of what pip, or a system's package manager, installs
OURS = {"lrrt", "studies", "pipeline"}
INIT = "__init__.py"


@dataclass(frozen=True, slots=True)
class _Module:
    """A module: its file, None if it has no source; the folders of its submodules, none if it is no package."""

    file: Path | None
    folders: tuple[Path, ...] = ()


def sources_of(references: Iterable[str]) -> dict[str, bytes]:
    """Return the source of each module that functions need, by its name.

    These are the modules of the functions and, directly or indirectly, those that they import: at the top, in functions
    and in branches. What is installed, or belongs to Python, is left out, unless it is in a package of the functions;
    so are imports whose names only a running program knows.

    Args:
        references: the functions, each as `module:function`.

    Raises:
        ImportError, OSError: if a module of the functions has no source.
        SyntaxError, ValueError: if a module is no Python.
    """
    names = {reference.partition(":")[0] for reference in references}
    tops = {name.partition(".")[0] for name in names} - OURS
    sources: dict[str, bytes] = {}
    open_names = _with_parents(names)
    while open_names:
        name = open_names.pop()
        module, top = _find(name), name.partition(".")[0]
        if module.file is None:
            continue
        if name not in names and top not in tops and (top in OURS or _is_installed(name, module)):
            continue
        sources[name] = module.file.read_bytes()
        package = name if module.folders else name.rpartition(".")[0]
        open_names |= _with_parents(_imports(ast.parse(sources[name]), package)) - set(sources)
    if without := names - set(sources):
        raise ImportError(f"{', '.join(sorted(without))} must be Python source that can be found.")
    return sources


def _find(name: str) -> _Module:
    top, *rest = name.split(".")
    if top in sys.stdlib_module_names:
        return _Module(None)
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # a module that was imported by other means
        spec = None
    if spec is None:
        return _Module(None)
    file = Path(spec.origin) if spec.origin is not None and spec.origin.endswith(".py") else None
    module = _Module(file, tuple(map(Path, spec.submodule_search_locations or ())))
    for part in rest:
        module = _submodule(module.folders, part)
    return module


def _is_installed(name: str, module: _Module) -> bool:
    """Say whether a module with a file was installed: into an environment, or by `pip install --target`."""
    assert module.file is not None
    if INSTALLED & set(module.file.parts):
        return True
    depth = name.count(".") + bool(module.folders)
    return name.partition(".")[0] in _recorded(module.file.parents[depth])


@cache
def _recorded(folder: Path) -> frozenset[str]:
    """Return the names of the modules that pip's records say it has installed into a folder."""
    records = (path.read_text(encoding="utf-8", errors="replace") for path in folder.glob("*.dist-info/RECORD"))
    return frozenset(re.split("[/.,]", line, maxsplit=1)[0] for text in records for line in text.splitlines())


def _submodule(folders: tuple[Path, ...], name: str) -> _Module:
    for folder in folders:
        inner = folder / name
        if (inner / INIT).is_file():
            return _Module(inner / INIT, (inner,))
        if inner.with_suffix(".py").is_file():
            return _Module(inner.with_suffix(".py"))
    return _Module(None, tuple(folder / name for folder in folders if (folder / name).is_dir()))


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield the modules that a module may import; `from a import b` may import `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            parents = parts[: len(parts) - node.level + 1] if node.level else []
            base = ".".join([*parents, *filter(None, [node.module])])
            yield from (base, *(f"{base}.{alias.name}" for alias in node.names))


def _with_parents(names: Iterable[str]) -> set[str]:
    """Return modules and the packages around them, whose `__init__` is run by an import."""
    parts = (name.split(".") for name in names)
    return {".".join(part[:length]) for part in parts for length in range(1, len(part) + 1)}
