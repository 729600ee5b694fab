"""Knows how to import Keras, which takes seconds, without TensorFlow's start-up noise."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"  # TensorFlow's own: 0 shows all, 3 shows errors that end the process
SHOW_ALL = "0"


def import_keras() -> None:
    """Import Keras and TensorFlow; what they log at start-up is shown only where TF_CPP_MIN_LOG_LEVEL=0 asks for it."""
    if "keras" in sys.modules:
        return
    os.environ.setdefault(LOG_LEVEL, "3")
    with _native_stderr_held_back(shown=os.environ[LOG_LEVEL] == SHOW_ALL):
        import keras  # noqa: F401  # brings TensorFlow
        import tensorflow  # noqa: F401


@contextmanager
def _native_stderr_held_back(*, shown: bool) -> Iterator[None]:
    """Keep what native code writes to file descriptor 2; show it where asked, or where the block raises.

    TensorFlow's libraries log a few lines before they read TF_CPP_MIN_LOG_LEVEL, so the level alone does not help.
    """
    try:
        terminal = os.dup(2)
    except OSError:  # stderr is closed: there is nothing to keep clean
        yield
        return
    with tempfile.TemporaryFile() as kept:
        _flush_stderr()
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            shown = True
            raise
        finally:
            _flush_stderr()
            os.dup2(terminal, 2)
            os.close(terminal)
            if shown:
                kept.seek(0)
                os.write(2, kept.read())


def _flush_stderr() -> None:
    if sys.stderr is not None:  # as it is where no console is attached
        sys.stderr.flush()
