"""Check texts of a config: references to functions, metrics, URLs, times of jobs."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from lrrt.jit_choice import Jit
from pipeline.config.storage_url import is_storage_url, without_password
from pipeline.config.values import NONE, listed, shown
from studies.judging import halving
from studies.judging.halving import HYPERBAND

WAYS_TO_PRUNE: Mapping[bool | str, bool | str] = {
    True: True,
    False: False,
    NONE: False,
    "median": True,
    HYPERBAND: HYPERBAND,
}


def _metric(name: str) -> str:
    if not name.isprintable() or not name.strip():
        raise ValueError(f'must name "loss" or a compiled metric, got {shown(name)}.')
    return name


def _reference(text: str) -> str:
    module, _, function = text.partition(":")
    if not function.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise ValueError(f'must be "module:function", such as "my_task:build_model", got {shown(text)}.')
    return text


def _storage_url(url: str) -> str:
    if url and not is_storage_url(url):
        raise ValueError(
            f'must be "" or a database URL such as "postgresql://user@host/name", got {without_password(url)!r:.80}. '
            "In a name or a password, write %20 for a space, %2F for /, %3A for :, %3F for ? and %40 for @."
        )
    if url:
        _check_kind(url)
    return url


def _folder_or_storage(text: str) -> str:
    return _storage_url(text) if "://" in text else _one_line(text)


def _check_kind(url: str) -> None:
    from studies.storage.urls import BadUrl, check_kind

    try:
        check_kind(url)
    except BadUrl as error:
        raise ValueError(str(error)) from None


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"must be text on one line, got {shown(text)}.")
    return text


def _job_time(text: str) -> str:
    if text and not re.fullmatch(r"(\d+-)?\d+(:\d+){0,2}", text):
        raise ValueError(
            f'must be "" or a time as Slurm writes it, such as "4:00:00" or "1-12:00:00", got {shown(text)}.'
        )
    return text


def _jit(value: object) -> object:
    if not isinstance(value, bool) and value != "auto":
        raise ValueError(f'must be true, false or "auto", got {shown(value)}.')
    return value


def _prunes(value: object) -> bool | str:
    way = WAYS_TO_PRUNE.get(value) if isinstance(value, bool | str) else None
    if way is None:
        raise ValueError(
            f"must be true, false, {listed(way for way in WAYS_TO_PRUNE if isinstance(way, str))}, got {shown(value)}."
        )
    return way


Reference = Annotated[str, AfterValidator(_reference)]
OptionalReference = Annotated[str, AfterValidator(lambda text: _reference(text) if text else text)]
StorageUrl = Annotated[str, AfterValidator(_storage_url)]
FolderOrStorage = Annotated[str, AfterValidator(_folder_or_storage)]
OneLine = Annotated[str, AfterValidator(_one_line)]
JobTime = Annotated[str, AfterValidator(_job_time)]
Metric = Annotated[str, AfterValidator(_metric)]
JitOrAuto = Annotated[Jit, BeforeValidator(_jit)]
Prunes = Annotated[halving.Prunes, BeforeValidator(_prunes), WithJsonSchema({"enum": list(WAYS_TO_PRUNE)})]
