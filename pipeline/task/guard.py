"""Guard every door by which a run enters the user's code, so that a fault of the task is reported as one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.console.stopping import Stopper
from pipeline.console.streams import reopen_closed
from pipeline.failures import TaskError
from studies.user_code import user_code


@contextmanager
def guarded(law: str, *, remedy: str = "", stopper: Stopper | None = None) -> Iterator[None]:
    """Run the user's code in the block; see `studies.user_code.user_code`, also for the arguments.

    Args:
        law: the beginning of the sentence, before "raised".
        remedy: a sentence that follows.
        stopper: is asked at the end. A stop that a signal raises while TensorFlow calls the user's code comes out of
            TensorFlow as another error.

    Raises:
        TaskError: if the user's code raises, with what it raised and where.
    """
    try:
        with user_code(law, remedy=remedy, raises=TaskError):
            yield
    except TaskError:
        if stopper is not None:
            stopper.check()
        raise
    finally:
        reopen_closed()  # it may have closed a standard stream
