"""Knows which of this machine's devices train: one as it is, several together on each trial."""

from __future__ import annotations

import contextlib


def use_all_devices() -> int:
    """Have every model that is built from now on train on all GPUs, or, without any, on all CPU devices; count them.

    A GPU's memory is taken as it is needed, so that a process leaves room for others on the same GPU. A batch scheduler
    says by CUDA_VISIBLE_DEVICES which GPUs are there. Each batch is divided among the devices. Calling it again changes
    nothing.
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
