"""Write the task of an example, its config and its modules, into a folder of the user's."""

import filecmp
import re
import shutil
from pathlib import Path

from pipeline.failures import WouldOverwrite

PACKAGED = Path(__file__).parents[1] / "examples"  # where a wheel has them
IN_CHECKOUT = Path(__file__).parents[2] / "examples"
MODULE = re.compile(r"^(?:from|import) (\w+)", re.MULTILINE)


def example_names() -> list[str]:
    """Return the names of the examples that there are, sorted."""
    return sorted(path.stem for path in _folder().glob("*.toml"))


def example_files(name: str) -> list[Path]:
    """Return the files of an example: its config, its module, and modules of the examples that it imports.

    Raises:
        FileNotFoundError: if there is no such example.
    """
    files = [_folder() / f"{name}.toml", _folder() / f"{name}.py"]
    for file in files[1:]:
        siblings = (_folder() / f"{module}.py" for module in MODULE.findall(file.read_text(encoding="utf-8")))
        files += [sibling for sibling in siblings if sibling.exists()]
    return files


def write_example(name: str, folder: Path) -> Path:
    """Copy the files of an example into a folder; return the path of its config, which `lrrt run` takes unchanged.

    Raises:
        FileNotFoundError: if there is no such example.
        WouldOverwrite: if the folder has another file of one of these names; nothing is written then.
    """
    files = example_files(name)
    present = [file.name for file in files if (folder / file.name).exists() and not _is_same(file, folder / file.name)]
    if present:
        raise WouldOverwrite(
            f"The files of an example are written where no other file has one of these names, but {', '.join(present)} "
            f"{'is' if len(present) == 1 else 'are'} there. Go to an empty folder."
        )
    for file in files:  # examples share modules, such as the convnet of those with images
        shutil.copyfile(file, folder / file.name)
    return folder / files[0].name


def _is_same(file: Path, present: Path) -> bool:
    return present.is_file() and filecmp.cmp(file, present, shallow=False)


def _folder() -> Path:
    return PACKAGED if PACKAGED.is_dir() else IN_CHECKOUT
