"""Read a profile of TensorFlow's: how busy the GPU was, and what was copied."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

GPU_PLANE = "/device:GPU:"
TO_GPU, TO_HOST = "MemcpyH2D", "MemcpyD2H"


@dataclass(frozen=True)
class Profile:
    """What a GPU did.

    Attributes:
        busy: the share of time from its first piece of work to its last in which it did any.
        to_gpu: copies from the host.
        to_host: copies to the host.
    """

    busy: float
    to_gpu: int
    to_host: int


def profiled(act: Callable[[], object]) -> Profile | None:
    """Profile what is done; None where the profile has no GPU."""
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        try:
            act()
        finally:
            tf.profiler.experimental.stop()
        space = xplane_pb2.XSpace()
        for path in Path(folder).rglob("*.xplane.pb"):
            space.MergeFromString(path.read_bytes())
    plane = next((one for one in space.planes if one.name.startswith(GPU_PLANE)), None)
    if plane is None:
        return None
    events = [(line.timestamp_ns * 1_000 + one.offset_ps, one) for line in plane.lines for one in line.events]
    names = [plane.event_metadata[one.metadata_id].name for _, one in events]
    spans = [(begin, begin + one.duration_ps) for begin, one in events]
    return Profile(share_covered(spans), *(sum(kind in name for name in names) for kind in (TO_GPU, TO_HOST)))


def share_covered(spans: Iterable[tuple[int, int]]) -> float:
    """Return the share of the time between the first begin and the last end that lies in any span.

    >>> share_covered([(0, 2), (1, 3), (5, 10)])
    0.8
    """
    covered, ordered = 0, sorted(spans)
    first = last = ordered[0][0] if ordered else 0
    for begin, end in ordered:
        covered += max(0, end - max(begin, last))
        last = max(last, end)
    return covered / (last - first) if last > first else 0.0
