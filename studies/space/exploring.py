"""Find all hyperparameters of a `build(hp)`, and what each changes, by builds under several values of the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from studies.dimension import Value
from studies.space.builds import Asked, Build, build_with
from studies.space.exploration import Effect, Exploration, is_listed
from studies.space.traits import Traits, differing, traits_of

if TYPE_CHECKING:
    import keras

MAX_BUILDS = 150  # of one exploration
ALL_OF = 4  # a number with so few values is tried at each; others at their ends, and in between if these differ
NUM_RANDOM = 8  # builds under random values, for names that depend on two others at once


def explore(build: Build, *, max_builds: int = MAX_BUILDS) -> Exploration:
    """Build the model under several values, until no new hyperparameter appears.

    From the defaults on, each hyperparameter is given its other values while the rest stays: each choice, and both ends
    of a range. A build that shows new names is the next place to start from. The same function gives the same result in
    every process.

    Raises:
        Exception: whatever the function raises under its defaults.
    """
    explorer = _Explorer(build, max_builds)
    try:
        explorer.start()
        explorer.follow()
        explorer.try_without_effect()
    except _TooManyBuilds:
        explorer.found.is_whole = False
    return explorer.found


class _TooManyBuilds(Exception):
    """The exploration must end."""


class _Explorer:
    def __init__(self, build: Build, max_builds: int) -> None:
        self._build, self._max_builds = build, max_builds
        self._num_builds = 0
        self._places: list[Asked] = []
        self._traits: dict[int, tuple[Traits, set[str]]] = {}  # of a place, and which differ without a reason
        self.found = Exploration()

    def start(self) -> None:
        first, _ = self._made({})
        if first.error is not None:
            raise first.error
        self._start_from(first)

    def follow(self) -> None:
        """Try the neighbours of each place to start from; look for further places in them, and in random builds."""
        rng = np.random.default_rng(0)
        num_random = 0
        for place in self._places:  # which grows
            for name in list(place.values):
                # A number without names of its own at its home has seldom any elsewhere.
                if self.found.homes[name] is place or self.found.effects[name].names or not _is_number(place, name):
                    self._vary(place, name)
            while place is self._places[-1]:
                best = max(self.found.builds, key=lambda asked: (len(self._new(asked)), asked.error is None))
                if self._new(best):
                    self._start_from(best)
                elif num_random == NUM_RANDOM or not self._has_pairs():
                    return
                else:
                    num_random += 1
                    points = {name: self.found.points(name) for name in self.found.homes}
                    self._build_unless_known(
                        {name: ones[int(rng.integers(len(ones)))] for name, ones in points.items()}
                    )

    def try_without_effect(self) -> None:
        """Try hyperparameters without an effect with other optimizers: only one of these may have that setting."""
        effects = self.found.effects
        for name in [name for name, effect in effects.items() if effect.is_none]:
            for other, effect in effects.items():
                if len(set(effect.classes.values())) > 1:
                    for value in effect.classes:
                        place = self._build_unless_known({**self.found.homes[name].values, other: value})
                        if name in place.values:
                            self._vary(place, name)

    def _start_from(self, place: Asked) -> None:
        self._places.append(place)
        for name in place.values:
            self.found.homes.setdefault(name, place)
            self.found.effects.setdefault(name, Effect())

    def _new(self, asked: Asked) -> set[str]:
        return asked.values.keys() - self.found.homes.keys()

    def _has_pairs(self) -> bool:
        """Say whether a hyperparameter without an effect of its own may have one together with another."""
        listed = [name for name, home in self.found.homes.items() if is_listed(home.declared[name][0])]
        return len(listed) > 1 and any(self.found.effects[name].is_none for name in listed)

    def _vary(self, place: Asked, name: str) -> None:
        """Build with other values of one hyperparameter."""
        points = self.found.points(name)
        if len(points) <= ALL_OF or not _is_number(place, name):
            for value in points:
                self._neighbour(place, name, value)
            return
        here = points.index(place.values[name]) if place.values[name] in points else 0
        built = {at: self._neighbour(place, name, points[at]) for at in sorted({0, here, len(points) - 1})}
        gaps = [*zip(sorted(built), sorted(built)[1:], strict=False)]
        while gaps:
            low, high = gaps.pop(0)
            if high - low > 1 and built[low].values.keys() != built[high].values.keys():
                middle = (low + high) // 2
                built[middle] = self._neighbour(place, name, points[middle])
                gaps += [(low, middle), (middle, high)]

    def _neighbour(self, place: Asked, name: str, value: Value) -> Asked:
        """Return the build with another value of one hyperparameter; if it is new, note what changed."""
        values = {**place.values, name: value}
        known = self.found.like(values)
        if known is not None:
            return known
        asked, model = self._made(values)
        effect = self.found.effects[name]
        effect.names |= asked.values.keys() ^ place.values.keys()
        if asked.optimizer != place.optimizer:
            effect.optimizer = True
            effect.classes |= {place.values[name]: place.optimizer[0], value: asked.optimizer[0]}
        if not effect.model:
            effect.model = model is None or place.error is not None or self._differs(place, asked, model)
        return asked

    def _differs(self, place: Asked, asked: Asked, model: keras.Model) -> bool:
        """Say whether a model differs by more than its optimizer from that of a place to start from."""
        if place.shapes != asked.shapes:
            return True
        if id(place) not in self._traits:
            twice = [build_with(self._build, place.values)[1] for _ in range(2)]
            self._num_builds += 2
            first, second = (traits_of(one) for one in twice if one is not None)
            self._traits[id(place)] = first, differing(first, second)
        traits, noise = self._traits[id(place)]
        return bool(differing(traits, traits_of(model)) - noise)

    def _build_unless_known(self, values: Mapping[str, Value]) -> Asked:
        return self.found.like(values) or self._made(values)[0]

    def _made(self, values: Mapping[str, Value]) -> tuple[Asked, keras.Model | None]:
        if self._num_builds >= self._max_builds:
            raise _TooManyBuilds
        self._num_builds += 1
        asked, model = build_with(self._build, values)
        self.found.builds.append(asked)
        return asked, model


def _is_number(asked: Asked, name: str) -> bool:
    """Say whether a hyperparameter has a range."""
    return hasattr(asked.declared[name][0], "min_value")
