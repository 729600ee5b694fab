"""Refuse the name of a sampler that an engine does not have."""

from __future__ import annotations

from collections.abc import Collection


def check_name(name: str, known: Collection[str], single: Collection[str], num_objectives: int) -> None:
    """Refuse an unknown sampler, or one that learns from one objective only, if there are several.

    Args:
        name: of the sampler.
        known: the engine's samplers.
        single: those of them that learn from one objective only.
        num_objectives: of the study.

    Raises:
        ValueError: saying so.
    """
    if name not in known:
        raise ValueError(f"`sampler` must be one of {', '.join(known)}, got {name!r}.")
    if name in single and num_objectives > 1:
        raise ValueError(
            f'`sampler` must not be {name!r} with several objectives, of which it knows the first alone. Take "tpe", '
            "which learns from all, or one objective."
        )
