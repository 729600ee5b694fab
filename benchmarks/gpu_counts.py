"""Count from the graph what a step of the loop would copy between a GPU and the host; no GPU is needed for it.

TensorFlow places each operation of a graph on the GPU if it has a kernel for it there. A kernel says which of its
arguments lie in the host's memory: shapes, positions, most whole numbers. Where a result in one memory is an argument
in the other, each step copies it, and a copy to the host waits until the GPU has done all before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tensorflow.python.framework import function_def_to_graph, kernels  # the registry has no public door

from lrrt.training_loop import TrainingLoop

GPU, ANY = "GPU", "DEFAULT"
IN_NO_MEMORY = {"Placeholder", "NoOp"}  # the arguments of the step, whose memory the loop's first values decide


@dataclass(frozen=True)
class Counts:
    """What a step does beside arithmetic on the GPU, by the operations at both ends.

    Attributes:
        to_gpu: copies from the host.
        to_host: copies to the host, which wait for the GPU.
        on_host: operations without a kernel for the GPU.
    """

    to_gpu: Counter[str]
    to_host: Counter[str]
    on_host: Counter[str]


def counts_of(loop: TrainingLoop) -> Counts:
    """Count what one step of a traced loop copies: the body of its outer loop, and its condition."""
    to_gpu, to_host, on_host = Counter[str](), Counter[str](), Counter[str]()
    for graph, is_condition in _graphs_of_a_step(loop):
        for operation in graph.get_operations():
            if operation.type in IN_NO_MEMORY:
                continue
            if operation.type == "Identity":
                continue
            if not _kernels(operation):
                on_host[operation.type] += 1
            for tensor, is_for_host in zip(operation.inputs, _in_host_memory(operation)[0], strict=True):
                source = _source(tensor)
                if source.op.type in IN_NO_MEMORY or source.op.type == "Const":  # a constant is copied once
                    continue
                if _is_on_host(source) != is_for_host:
                    (to_host if is_for_host else to_gpu)[f"{source.op.type} -> {operation.type}"] += 1
        if is_condition and not _is_on_host(_source(graph.outputs[0])):
            to_host["the condition of the loop"] += 1
    return Counts(to_gpu, to_host, on_host)


def _graphs_of_a_step(loop: TrainingLoop) -> Iterator[tuple[Any, bool]]:
    outer = loop.compiled.graph
    library = {function.signature.name: function for function in outer.as_graph_def().library.function}
    for operation in outer.get_operations():
        if operation.type in ("While", "StatelessWhile"):
            for part in ("body", "cond"):
                name = operation.get_attr(part).name
                yield function_def_to_graph.function_def_to_graph(library[name]), part == "cond"


def _source(tensor: Any) -> Any:
    """Return the tensor behind identities, which TensorFlow leaves out."""
    return _source(tensor.op.inputs[0]) if tensor.op.type == "Identity" else tensor


def _is_on_host(tensor: Any) -> bool:
    return _in_host_memory(tensor.op)[1][tensor.value_index]


def _kernels(operation: Any) -> list[Any]:
    """Return the kernels for a GPU whose types are those of the operation."""
    found = kernels.get_registered_kernels_for_op(operation.type).kernel
    return [one for one in found if one.device_type in (GPU, ANY) and _fits(one, operation)]


def _fits(kernel: Any, operation: Any) -> bool:
    for constraint in kernel.constraint:
        value = operation.get_attr(constraint.name)
        values = value if isinstance(value, list) else [value]
        if not {one.as_datatype_enum for one in values} <= set(constraint.allowed_values.list.type):
            return False
    return True


def _in_host_memory(operation: Any) -> tuple[list[bool], list[bool]]:
    """Say of each input and each output of an operation whether it lies in the host's memory."""
    fitting = _kernels(operation)
    if not fitting:
        return [True] * len(operation.inputs), [True] * len(operation.outputs)
    names = set(max(fitting, key=lambda one: (one.device_type == GPU, one.priority)).host_memory_arg)
    definition = operation.op_def
    inputs = [one in names for one in _names(definition.input_arg, operation)]
    outputs = [one in names for one in _names(definition.output_arg, operation)]
    return inputs, outputs


def _names(arguments: Any, operation: Any) -> Iterator[str]:
    """Yield the name of the argument to which each tensor of an operation belongs."""
    for argument in arguments:
        count = 1
        if argument.number_attr:
            count = operation.get_attr(argument.number_attr)
        elif argument.type_list_attr:
            count = len(operation.get_attr(argument.type_list_attr))
        yield from [argument.name] * count
