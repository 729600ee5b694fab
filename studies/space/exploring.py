"""Find all hyperparameters of a `build(hp)`, and what each changes, by builds under several values of the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from studies.dimension import Value
from studies.space.builds import Asked, Build, build_with
from studies.space.exploration import Effect, Exploration, Points, is_listed
from studies.space.traits import Traits, differing, traits_of

if TYPE_CHECKING:
    import keras

MAX_BUILDS = 150  # of one exploration
ALL_OF = 4  # a number with so few values is tried at each; others at their ends, and in between if these differ
TELL_EVERY_S = 5.0
NUM_GROUPS = 2  # builds that change all at once what new names should not depend on
NUM_RANDOM = 8  # builds under random values, for names that depend on two others at once


def explore(
    build: Build, *, max_builds: int = MAX_BUILDS, on_progress: Callable[[str], None] = lambda text: None
) -> Exploration:
    """Build the model under several values, until no new hyperparameter appears.

    From the defaults on, each hyperparameter is given its other values while the rest stays: each choice, and both ends
    of a range. A build that shows new names is the next place to start from. There, what was tried before is given
    other values all at once; one by one only if new names do not stand that. The same function gives the same result
    in every process.

    Args:
        build: KerasTuner's `build(hp)`.
        max_builds: so many builds at most.
        on_progress: called every few seconds with a sentence on how far it is.

    Raises:
        Exception: whatever the function raises under its defaults.
    """
    explorer = _Explorer(build, max_builds, on_progress)
    try:
        explorer.start()
        explorer.follow()
        explorer.try_without_effect()
    except _TooManyBuilds:
        explorer.exploration.is_whole = False
    return explorer.exploration


class _TooManyBuilds(Exception):
    """The exploration must end."""


class _Explorer:
    def __init__(self, build: Build, max_builds: int, on_progress: Callable[[str], None]) -> None:
        self._build, self._max_builds, self._on_progress = build, max_builds, on_progress
        self._last_note_at = time.monotonic()
        self._num_builds = 0
        self._places: list[Asked] = []
        self._traits: dict[int, tuple[Traits, set[str]]] = {}  # of a place, and which differ without a reason
        self._changed: dict[int, set[str]] = {}  # by a build: the names in which it differs from where it came from
        self.exploration = Exploration()

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
            self._try_neighbours(place)
            while place is self._places[-1]:
                best = max(self.exploration.builds, key=self._promise)
                if self._new(best):
                    self._start_from(best)
                elif num_random == NUM_RANDOM or not self._has_pairs():
                    return
                else:
                    num_random += 1
                    points = {name: self.exploration.points(name) for name in self.exploration.homes}
                    values = {name: ones[int(rng.integers(len(ones)))] for name, ones in points.items()}
                    self._changed.setdefault(id(self._build_unless_known(values)), set(values))

    def _try_neighbours(self, place: Asked) -> None:
        """Give other values to what is new at a place, and to what it may depend on."""
        new = [name for name in place.values if self.exploration.homes[name] is place]
        changed = [
            name for name in place.values if name in self._changed.get(id(place), ())
        ]  # in the same order always
        for name in (*new, *changed):
            self._vary(place, name)
        others = [name for name in place.values if name not in {*new, *changed}]
        if not all(self._are_there(new, place, others, shift) for shift in range(1, NUM_GROUPS + 1)):
            for name in others:
                # A number without names of its own at its home has seldom any elsewhere.
                if self.exploration.effects[name].names or not _is_number(place, name):
                    self._vary(place, name)

    def _are_there(self, new: Sequence[str], place: Asked, others: Sequence[str], shift: int) -> bool:
        """Build with other values of all others at once, and say whether the new names are there as well.

        What brought them there must stay: what the changed names depend on has values that it had with them.
        """
        changed = self._changed.get(id(place), set())
        values = dict(place.values)
        for name in others:
            points: Points = self.exploration.points(name)
            if self.exploration.effects[name].names & changed:
                having = [asked.values for asked in self.exploration.builds if asked.values.keys() >= {name, *changed}]
                points = [point for point in points if any(one[name] == point for one in having)]
            at = points.index(values[name]) if values[name] in points else 0
            values[name] = points[(at + shift) % len(points)] if points else values[name]
        asked = self._build_unless_known(values)
        self._changed.setdefault(id(asked), {name for name in others if values[name] != place.values[name]} | changed)
        return asked.error is None and asked.values.keys() >= set(new)

    def try_without_effect(self) -> None:
        """Try hyperparameters without an effect with other optimizers: only one of these may have that setting."""
        effects = self.exploration.effects
        for name in [name for name, effect in effects.items() if effect.is_none]:
            for other, effect in effects.items():
                if len(set(effect.classes.values())) > 1:
                    for value in effect.classes:
                        place = self._build_unless_known({**self.exploration.homes[name].values, other: value})
                        if name in place.values:
                            self._vary(place, name)

    def _start_from(self, place: Asked) -> None:
        self._places.append(place)
        for name in place.values:
            self.exploration.homes.setdefault(name, place)
            self.exploration.effects.setdefault(name, Effect())

    def _new(self, asked: Asked) -> set[str]:
        return asked.values.keys() - self.exploration.homes.keys()

    def _promise(self, asked: Asked) -> tuple[bool, int, int, bool]:
        """Return what orders builds as places to start from: few changes tell best what brought the new names."""
        new = self._new(asked)
        return bool(new), -len(self._changed.get(id(asked), ())), len(new), asked.error is None

    def _has_pairs(self) -> bool:
        """Say whether a hyperparameter without an effect of its own may have one together with another."""
        listed = [name for name, home in self.exploration.homes.items() if is_listed(home.declared[name][0])]
        return len(listed) > 1 and any(self.exploration.effects[name].is_none for name in listed)

    def _vary(self, place: Asked, name: str) -> None:
        """Build with other values of one hyperparameter."""
        points = self.exploration.points(name)
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
        known = self.exploration.like(values)
        if known is not None:
            return known
        asked, model = self._made(values)
        self._changed[id(asked)] = {name}
        effect = self.exploration.effects[name]
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
        return self.exploration.like(values) or self._made(values)[0]

    def _made(self, values: Mapping[str, Value]) -> tuple[Asked, keras.Model | None]:
        if self._num_builds >= self._max_builds:
            raise _TooManyBuilds
        self._num_builds += 1
        if time.monotonic() > self._last_note_at + TELL_EVERY_S:
            self._last_note_at = time.monotonic()
            self._on_progress(
                f"looking for the model's hyperparameters: {len(self.exploration.homes)} after {self._num_builds} "
                f"builds, of {self._max_builds} at most"
            )
        asked, model = build_with(self._build, values)
        self.exploration.builds.append(asked)
        return asked, model


def _is_number(asked: Asked, name: str) -> bool:
    """Say whether a hyperparameter has a range."""
    return hasattr(asked.declared[name][0], "min_value")
