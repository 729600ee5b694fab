"""Import Keras without TensorFlow's start-up noise, and choose the devices that train."""

import contextlib
import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from studies.storage.garbage import collector_held_back

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"  # TensorFlow's: 0 shows all, 3 shows only errors that end the process
SHOW_ALL = "0"


def import_keras() -> None:
    """Import Keras and TensorFlow; their log at start-up is shown only if TF_CPP_MIN_LOG_LEVEL=0."""
    if "keras" in sys.modules:
        return
    os.environ.setdefault(LOG_LEVEL, "3")
    with _native_stderr_held_back(shown=os.environ[LOG_LEVEL] == SHOW_ALL), collector_held_back():
        import keras  # noqa: F401  # brings TensorFlow
        import tensorflow  # noqa: F401

        gc.freeze()  # what is imported lasts as long as the process, so later collections need not look at it


def use_all_devices() -> int:
    """Make each later model train on all GPUs, or, without any, on all CPU devices; return the number of devices.

    A GPU's memory is taken as it is needed, so that other processes have room on the same GPU. A batch scheduler sets
    the visible GPUs in CUDA_VISIBLE_DEVICES. Each batch is divided among the devices. A second call changes nothing.
    """
    import tensorflow as tf

    if tf.distribute.has_strategy():
        return int(tf.distribute.get_strategy().num_replicas_in_sync)
    for gpu in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(
            RuntimeError, ValueError
        ):  # who set the devices up, or used them, before this keeps that
            tf.config.experimental.set_memory_growth(gpu, enable=True)
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) > 1:
        tf.distribute.experimental_set_strategy(tf.distribute.MirroredStrategy([device.name for device in devices]))
    return len(devices)


@contextmanager
def _native_stderr_held_back(*, shown: bool) -> Iterator[None]:
    """Hold back the output of native code to file descriptor 2; show it if asked, or if the block raises.

    TensorFlow's libraries log a few lines before they read TF_CPP_MIN_LOG_LEVEL, so the level alone does not help.
    """
    try:
        terminal = os.dup(2)
    except OSError:  # stderr is closed: there is nothing to keep clean
        yield
        return
    with tempfile.TemporaryFile() as held_back:
        _flush_stderr()
        os.dup2(held_back.fileno(), 2)
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
                held_back.seek(0)
                os.write(2, held_back.read())


def _flush_stderr() -> None:
    if sys.stderr is not None:  # it is None without a console
        sys.stderr.flush()
