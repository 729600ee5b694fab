"""Print a benchmark: what was measured on what, medians and ratios, in one table."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from importlib.metadata import version


def print_table(title: str, unit: str, samples: Mapping[str, Sequence[float]], *, ours: str) -> None:
    """Print the median of each way's samples and how many times the first one's it is.

    Args:
        title: what was measured.
        unit: the samples' unit; lower is better.
        samples: by way, paired: sample i of each was taken in turn with the others'.
        ours: the way that the others are compared with.
    """
    libraries = ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras", "optuna", "keras-tuner"))
    print(f"\n{title}\n{platform.machine()}, {os.cpu_count()} cores, {libraries}")
    print(f"{'way':44s} {'median ' + unit:>16s} {'min':>9s} {'max':>9s} {'times ours':>11s}")
    for way, values in samples.items():
        ratios = [value / own for value, own in zip(values, samples[ours], strict=True)]
        row = statistics.median(values), min(values), max(values)
        print(f"{way:44s} {row[0]:16.3f} {row[1]:9.3f} {row[2]:9.3f} {statistics.median(ratios):11.1f}")
