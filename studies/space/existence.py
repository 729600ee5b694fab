"""Infer from builds when each hyperparameter exists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from studies.dimension import Condition, Value
from studies.space.builds import Asked
from studies.space.exploration import Exploration, is_listed


def conditions_of(name: str, exploration: Exploration) -> tuple[Condition, ...]:
    """Return when a hyperparameter exists: what its conditional scopes say, and what builds showed."""
    declared = [one for asked in exploration.builds for one in asked.declared.get(name, ())]
    scopes = {tuple((one.name, tuple(one.values)) for one in parameter.conditions) for parameter in declared}
    of_scopes = scopes.pop() if len(scopes) == 1 else ()
    parents = {parent for parent, _ in of_scopes}
    return (*of_scopes, *(one for one in _shown(name, exploration) if one[0] not in parents))


def _shown(name: str, exploration: Exploration) -> Iterator[Condition]:
    """Yield each parent without some of whose values the name does not exist, the other values being those of its home.

    A condition excludes no build that had the name.
    """
    home = exploration.homes[name]
    order = list(home.values)
    having = [asked for asked in exploration.builds if name in asked.values]
    for parent in order[: order.index(name)]:
        if not is_listed(home.declared[parent][0]) or any(parent not in asked.values for asked in having):
            continue
        points = exploration.points(parent)
        builds = {value: exploration.like({**home.values, parent: value}) for value in points}
        seen = {asked.values[parent] for asked in having}
        allowed = tuple(value for value in points if value in seen or _may_exist(name, value, builds))
        if len(allowed) < len(points):
            yield parent, allowed


def _may_exist(name: str, value: Value, builds: Mapping[Value, Asked | None]) -> bool:
    """Say whether a name may exist with a value: it may in the nearest build on either side, or nothing is known."""
    points = list(builds)
    at = points.index(value)
    nearest = [next((builds[one] for one in side if builds[one]), None) for side in (points[at::-1], points[at:])]
    return any(asked is None or asked.may_have(name) for asked in nearest)
