"""Say whose fault an exception is, and put what a user's code raised into one sentence."""

from __future__ import annotations

import errno
import os
import re
import sysconfig
import traceback
from functools import cache
from pathlib import Path

from lrrt.words import printable

OURS = ("lrrt", "studies", "pipeline")
LAWS = (ValueError, TypeError)  # what this project's checks of data and models raise
LIBRARIES = {"site-packages", "dist-packages"}
DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
OF_STORAGES = ("sqlalchemy", "optuna")
MAX_LETTERS, MAX_LAW = 300, 1000  # of what an exception of others says, and of ours
KERAS_CALL = re.compile(r"Exception encountered when calling .*?\n\n(.*?)\n\nArguments received by", re.DOTALL)
KERAS_SHAPE = "Error encountered:\n\n"  # of a symbolic call
IN_TENSORFLOW = re.compile(
    r"^(?:\{\{.*?\}\} )?([A-Za-z_][\w.]*): (.*)\nTraceback \(most recent call last\)", re.MULTILINE
)
# TensorFlow's first line of an error in a graph, and how the lines begin that stand around what it says.
OF_GRAPH = "Graph execution error:"
AROUND_GRAPH = re.compile(r'Detected at node |File "|\[\[|Hint: |\d+ root error')
GRAPH_CODE = re.compile(r"^\(\d+\)\s+[A-Z_]+:\s*")  # if there are several errors
NOISE = re.compile(r"\x1b\[[0-9;]*m|\{\{function_node .*?\}\} | \[Op:.*")  # letters' style, TensorFlow's names of nodes
PLACE = re.compile(r'File "(.+?)", line (\d+)')


def is_of_user(error: BaseException) -> bool:
    """Say whether a user's code, model or data is at fault for what a call of it raised."""
    is_disk_full = isinstance(error, OSError) and error.errno in DISK_FULL  # whoever meets it
    package = _package(type(error).__module__)
    is_law_of_range_tests = package == "lrrt" and isinstance(error, LAWS)  # they know models and data, and no runs
    if is_disk_full or (package in OURS and not is_law_of_range_tests):
        return False
    if place_of(error) is not None:
        return True
    if isinstance(error, OSError) or _package(type(error).__module__) in OF_STORAGES:
        return False
    return not _is_raised_here(error) or isinstance(error, LAWS)


def sentence_of(error: BaseException, law: str, remedy: str = "") -> str:
    """Return what a user's code raised in a sentence: who raised, what, where, and a remedy.

    A check of this project speaks for itself, if no file of the user's is nearer.

    Args:
        error: what was raised.
        law: the beginning of the sentence, before "raised".
        remedy: a sentence that follows.
    """
    place = place_of(error)
    if place is None and isinstance(error, LAWS) and _is_raised_here(error):
        cause = None if error.__cause__ is None else place_of(error.__cause__)
        text = shortened(str(error), MAX_LAW)
        return text if cause is None else f"{text.removesuffix('.')} ({shortened(cause)})."
    at = "" if place is None else f" ({shortened(place)})"
    return " ".join(filter(None, [f"{law} raised {described(error).rstrip('.')}{at}.", _of_file(error), remedy]))


def described(error: BaseException) -> str:
    """Return the type of an exception and the first line of what it says: short, and without control characters.

    >>> described(ValueError("no \\x1b[1mroom\\x1b[0m\\nat all"))
    'ValueError: no room'
    >>> described(MemoryError("Graph execution error:\\n\\nDetected at node x\\n\\nno room\\n\\t [[{{node x}}]]"))
    'MemoryError: no room'
    """
    kind, text = _kind_and_text(error)
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return shortened(f"{kind}: {line}" if line else kind)


def shortened(text: str, most: int = MAX_LETTERS) -> str:
    """Return text on one line, without control characters, and not longer than `most` letters.

    >>> shortened("a\\x1b[2Jb", 4)
    'a?[2...'
    """
    shown = printable(text).replace("\n", " ")
    return shown if len(shown) <= most else f"{shown[:most]}..."


def place_of(error: BaseException) -> str | None:
    """Return the last line of a user's file that an exception came through, as `file:line`; None if there is none."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{error.filename}:{error.lineno}"
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    written = PLACE.findall(_text(error))  # by TensorFlow, where the code was called by its own threads or in a graph
    for file, line in [*reversed(written), *reversed(frames)]:
        if _is_of_user(file):
            return f"{file}:{line}"
    return None


def raised_by(error: BaseException) -> str | None:
    """Return the line of a user's file that raised an exception itself, as `file:line`; None if it was another's."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames or not _is_of_user(frames[-1].filename):
        return None
    return shortened(f"{frames[-1].filename}:{frames[-1].lineno}")


def _of_file(error: BaseException) -> str:
    """Say where a file was looked for, if its path was relative."""
    name = error.filename if isinstance(error, FileNotFoundError) else None
    if not isinstance(name, str) or os.path.isabs(name):
        return ""
    try:
        here = f", here {shortened(os.getcwd())}"
    except OSError:  # it was removed
        here = ""
    return f"A relative path begins in the folder where the command runs{here}."


def _is_raised_here(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and _is_inside(frames[-1].filename, _our_folders())


def _kind_and_text(error: BaseException) -> tuple[str, str]:
    """Return the type and the message of what a user's code raised, which Keras and TensorFlow wrap in theirs."""
    kind, text = type(error).__name__, NOISE.sub("", _text(error))
    in_tensorflow = IN_TENSORFLOW.search(text)
    if in_tensorflow:
        return in_tensorflow[1], in_tensorflow[2]
    if text.startswith(OF_GRAPH):
        lines = [line.strip() for line in text.splitlines()[1:]]
        return kind, GRAPH_CODE.sub("", next((one for one in lines if one and not AROUND_GRAPH.match(one)), ""))
    if text.startswith("in user code:"):  # of a graph: the last line is what was raised
        last = [line.strip() for line in text.splitlines() if line.strip()][-1]
        return kind, last.removeprefix(f"{kind}: ")
    text = text.rpartition(KERAS_SHAPE)[2]
    in_keras = KERAS_CALL.search(text)
    return kind, in_keras[1] if in_keras else text


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # the user's class may not say what it is
        return ""


def _is_of_user(file: str) -> bool:
    is_library = not LIBRARIES.isdisjoint(Path(file).parts) or _is_inside(file, _library_folders())
    return os.path.isabs(file) and not is_library and not _is_inside(file, _our_folders())


def _is_inside(file: str, folders: tuple[str, ...]) -> bool:
    return os.path.realpath(file).startswith(folders)


@cache
def _our_folders() -> tuple[str, ...]:
    top = Path(__file__).resolve().parents[1]
    return tuple(f"{top / name}{os.sep}" for name in OURS)


@cache
def _library_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple(f"{os.path.realpath(paths[kind])}{os.sep}" for kind in ("stdlib", "platstdlib"))


def _package(module: str) -> str:
    return module.partition(".")[0]
