"""Run a graph function: traced once, and by one thread if that is faster and safe."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

# What one operation hands on to others: a thread that runs it waits for them.
NESTING = {"If", "StatelessIf", "While", "StatelessWhile", "Case", "StatelessCase"}
SHORT_STEP_S = 0.005  # between the 0.2 ms of a small dense network and the 100 ms of a convolutional one
CALLS = {"PartitionedCall", "StatefulPartitionedCall"}


class CompiledFunction:
    """A `tf.function` of one signature.

    The operations of a short training step mostly wait for each other, so threads that hand them about only cost time:
    on a CPU one thread makes the steps of a small dense network 1.6 times faster, and those of a convolutional one, of
    0.1 s each, 1.2 times slower. So one thread runs short steps, and TensorFlow's usual way long ones. One thread would
    wait for ever if loops or conditions inside the step need more threads than there are, so a function that has
    any of them is run in the usual way, as it is on GPUs and on several replicas. The results are the same.

    Args:
        function: takes and returns tensors.
        signature: the types of its arguments.
        jit: whether XLA compiles it, as one program that needs no threads to hand operations about.
    """

    def __init__(self, function: Callable[..., Any], signature: Sequence[Any], *, jit: bool = False) -> None:
        import tensorflow as tf

        # TensorFlow warns of a function that is traced often; each loop's is one of its own, and partial says so.
        self._function = tf.function(
            partial(function), input_signature=list(signature), autograph=False, jit_compile=jit or None
        )
        self._jit = jit
        self._traced: Callable[..., Any] | None = None
        self._executor: Callable[[], AbstractContextManager[None]] = nullcontext
        self._is_warm = False
        self.trace_s = 0.0
        """Seconds that its trace took."""

    @property
    def num_traces(self) -> int:
        """How often it was traced: 1 after its first call."""
        return int(self._function.experimental_get_tracing_count())

    @property
    def graph(self) -> Any:
        """TensorFlow's graph of it, once it is traced."""
        return self._function.get_concrete_function().graph

    @property
    def operations(self) -> set[str]:
        """The names of TensorFlow's operations in it, once it is traced."""
        graph = self.graph.as_graph_def()
        functions = (graph.node, *(inner.node_def for inner in graph.library.function))
        return {node.op for nodes in functions for node in nodes}

    def trace(self) -> None:
        """Trace it, if that has not been done; raises what the function raises."""
        if self._traced is None:
            began = time.perf_counter()
            if not self._jit and _may_use_one_thread(self._function):
                self._executor = _one_thread
            self._traced = self._function.get_concrete_function()
            self.trace_s = time.perf_counter() - began

    def __call__(self, *arguments: Any, num_steps: int = 1) -> Any:
        """Run it on tensors, for so many steps, which tell how long a step is."""
        self.trace()
        assert self._traced is not None, "it was just traced"
        began = time.perf_counter()
        with self._executor():
            outputs = self._traced(*arguments)
        if self._is_warm and time.perf_counter() - began > SHORT_STEP_S * num_steps:
            self._executor = nullcontext
        self._is_warm = True  # the first call has optimised the graph too
        return outputs


def _one_thread() -> AbstractContextManager[None]:
    from tensorflow.python.eager import context  # the only place that offers it; Keras imports this module too

    executor: AbstractContextManager[None] = context.function_executor_type("SINGLE_THREADED_EXECUTOR")
    return executor


def _may_use_one_thread(function: Any) -> bool:
    """Say whether a function's outer loop holds plain operations only, and everything is on one CPU."""
    import tensorflow as tf

    is_elsewhere = tf.config.list_physical_devices("GPU") or tf.distribute.get_strategy().num_replicas_in_sync > 1
    if is_elsewhere:
        return False
    with _one_thread():  # under which TensorFlow leaves the outer loop whole; any executor runs it then
        library = function.get_concrete_function().graph.as_graph_def().library.function
    return not any(node.op in NESTING | CALLS for inner in library for node in inner.node_def)
