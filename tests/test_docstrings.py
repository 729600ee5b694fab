"""Docstrings of what the packages export say what goes in, in which shape and unit, and what is raised."""

import ast
import inspect
import re
import sys
import textwrap
from dataclasses import is_dataclass
from enum import Enum

import lrrt
import pipeline
import studies

MOST_UNNAMED = 2  # arguments that a name and a first line explain


def public_of(package):
    """Give, by qualified name, each exported function and class, and the public methods and properties of classes."""
    for name in package.__all__:
        exported = getattr(package, name)
        if inspect.isfunction(exported) or inspect.isclass(exported):
            yield f"{package.__name__}.{name}", exported
        for method, member in vars(exported).items() if inspect.isclass(exported) else ():
            function = getattr(member, "__func__", getattr(member, "fget", member))
            if inspect.isfunction(function) and not method.startswith("_"):
                yield f"{package.__name__}.{name}.{method}", function


PUBLIC = dict(pair for package in (lrrt, studies, pipeline) for pair in public_of(package))


def arguments_of(public):
    """Give the names and annotations of what a caller passes; an enum and an exception take nothing of their own."""
    if inspect.isclass(public) and issubclass(public, (Enum, BaseException)):
        return {}
    parameters = inspect.signature(public).parameters.items()
    return {name: str(one.annotation) for name, one in parameters if name not in ("self", "cls")}


def source_of(function):
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


def raises(public):
    """Say whether a function, or the making of a class, raises: itself, or by a private function of its module."""
    if inspect.isclass(public):
        made = vars(public).get("__post_init__" if is_dataclass(public) else "__init__")
        return inspect.isfunction(made) and raises(made)
    nodes = list(ast.walk(source_of(public)))
    if any(isinstance(node, ast.Raise) and node.exc is not None for node in nodes):
        return True
    module = vars(sys.modules[public.__module__])
    called = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    private = [module[name] for name in called if name.startswith("_") and inspect.isfunction(module.get(name))]
    return any(raises(function) for function in private if function is not public)


def is_named(argument, text):
    """Say whether a docstring lists an argument, puts it between backticks, or says whose arguments they are."""
    return re.search(rf"^ *\**{argument}: |`{argument}[`.\[( ]|arguments.* `", text, flags=re.MULTILINE) is not None


def test_a_docstring_names_the_arguments_that_its_first_line_does_not():
    missing = {}
    for name, public in PUBLIC.items():
        first, text = public.__doc__.partition("\n")[0], public.__doc__
        unnamed = [argument for argument in arguments_of(public) if not re.search(rf"\b{argument}s?\b", first)]
        if len(unnamed) > MOST_UNNAMED:
            missing[name] = [argument for argument in unnamed if not is_named(argument, text)]

    assert len(missing) > 20
    assert {name: arguments for name, arguments in missing.items() if arguments} == {}


def test_a_docstring_says_what_is_raised():
    raising = [name for name, public in PUBLIC.items() if raises(public)]

    assert len(raising) > 20
    assert [name for name in raising if "Raises:" not in PUBLIC[name].__doc__] == []


def test_a_docstring_has_shapes_and_seconds():
    for name, public in PUBLIC.items():
        returned = "" if inspect.isclass(public) else str(inspect.signature(public).return_annotation)
        annotations = [*arguments_of(public).values(), returned]

        is_array = any(re.search("NDArray|ndarray|ArrayLike", one) for one in annotations)
        assert not is_array or "shape" in public.__doc__, name
        is_timed = any(argument.endswith("_s") for argument in arguments_of(public))
        assert not is_timed or re.search("second|time", public.__doc__), name


def test_everything_that_is_exported_has_a_docstring():
    assert [name for name, public in PUBLIC.items() if not public.__doc__] == []
