"""Turn records into plain data for JSON, and plain data back into records."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import BeforeValidator, GetCoreSchemaHandler, PlainSerializer, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, core_schema

T = TypeVar("T")


def to_plain(record: object) -> Any:
    """Return a record as plain data: dicts, lists, numbers, text, and None for a number that is not finite.

    >>> from lrrt.ramp import Ramp
    >>> to_plain(Ramp())
    {'start_lr': 1e-07, 'end_lr': 10.0, 'num_steps': 100, 'spacing': 'exponential'}
    """
    return finite(_adapter(type(record)).dump_python(record, mode="json", by_alias=True))


def from_plain(kind: type[T], data: object) -> T:
    """Return the record that `to_plain` made the data from; unknown keys are ignored.

    Raises:
        ValueError: for data of another form, with the first place that does not fit.
    """
    try:
        record: T = _adapter(kind).validate_python(data)
        return record
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or kind.__name__
        law = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"`{place}` does not fit: {law}; got {first['input']!r:.80}.") from None


def finite(data: object) -> object:
    """Return plain data with None in place of each number that is not finite, and lists in place of tuples.

    >>> finite({"loss": math.nan, "rates": (0.1, math.inf)})
    {'loss': None, 'rates': [0.1, None]}
    """
    if isinstance(data, float):
        return or_none(data)
    if isinstance(data, Mapping):
        return {key: finite(item) for key, item in data.items()}
    if isinstance(data, list | tuple):
        return [finite(item) for item in data]
    return data


def or_none(number: float) -> float | None:
    """Return a number, or None in place of one that is not finite."""
    return number if math.isfinite(number) else None


class Named(StrEnum):
    """An enum whose members stand in plain data by their names in lower case, since their values are sentences.

    A member is text, so that `json.dumps` takes what `dataclasses.asdict` makes of a record.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        members = {member.name.lower(): member for member in cls}
        names = core_schema.literal_schema(list(members))
        write = core_schema.plain_serializer_function_ser_schema(lambda one: one.name.lower(), return_schema=names)
        return core_schema.no_info_after_validator_function(members.__getitem__, names, serialization=write)


class JsonRecord(dict[str, Any]):
    """A frozen record that `json.dumps` takes as it is: beside its fields, a mapping of what `to_plain` makes of it.

    Only a dict will do: Python's encoder takes no other mapping and no record.
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        super().update(to_plain(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, one.name) for one in fields(self))  # type: ignore[arg-type]  # of a dataclass

    def _unchanged(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("A record cannot be changed; `dataclasses.replace` makes another.")

    __setitem__ = __delitem__ = __ior__ = _unchanged
    clear = pop = popitem = setdefault = update = _unchanged


Loss = Annotated[
    float,
    BeforeValidator(lambda loss: math.nan if loss is None else loss),
    PlainSerializer(or_none, return_type=float | None),
]
Losses = tuple[Loss, ...]


_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)  # a schema takes milliseconds to build
