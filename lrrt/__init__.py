"""The learning-rate range test for Keras: how far an optimizer's learning rate may go, found in a few hundred steps."""

from lrrt.bounds import Bounds, Verdict
from lrrt.curve import RangeCurve, Stop
from lrrt.judging import find_bounds
from lrrt.loops import Loops
from lrrt.ramp import Ramp
from lrrt.range_result import Case, RangeTestResult
from lrrt.range_test import range_test, run_range_test
from lrrt.watcher import Watcher

__all__ = [
    "Bounds",
    "Case",
    "Loops",
    "Ramp",
    "RangeCurve",
    "RangeTestResult",
    "Stop",
    "Verdict",
    "Watcher",
    "find_bounds",
    "range_test",
    "run_range_test",
]
