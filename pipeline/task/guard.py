"""Guard every door by which a run enters the user's code, so that a fault of the task is reported as one."""

from __future__ import annotations

import sys
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
        TaskError: if the user's code raises, with what it raised and where, or turns TensorFlow's eager mode off.
    """
    try:
        with user_code(law, remedy=remedy, raises=TaskError):
            yield
        _check_eager()
    except TaskError:
        if stopper is not None:
            stopper.check()
        raise
    finally:
        reopen_closed()  # it may have closed a standard stream


def _check_eager() -> None:
    tensorflow = sys.modules.get("tensorflow")  # None if nobody has imported it yet
    if tensorflow is not None and not tensorflow.executing_eagerly():
        raise TaskError(
            "The task's code must leave TensorFlow's eager mode on, as Keras needs it, but turned it off, as "
            "tf.compat.v1.disable_eager_execution() and an open tf.Graph() do. Leave that out."
        )
