"""Define pieces of work on a board: their keys, outcomes and claims, and the table of their states."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

KEY = "key"  # the attribute of Optuna's trials with the key of their piece of work
RESULT = "result"  # ... with its result
Key = int | str
FROM = " from epoch "  # between the number of a trial and the epoch from which a later part of it goes on


def key_from(number: int, epoch: int) -> Key:
    """Return the key of the part of a trial after an epoch, a piece of work of its own; the first part's is the number.

    >>> key_from(17, 10), number_of("17 from epoch 10"), number_of(17)
    ('17 from epoch 10', 17, 17)
    >>> epoch_before("17 from epoch 10"), epoch_before(17)
    (10, 0)
    """
    return f"{number}{FROM}{epoch}" if epoch else number


def number_of(key: Key) -> int:
    """Return the number of the trial of which a piece of work is a part."""
    return int(str(key).partition(FROM)[0])


def epoch_before(key: Key) -> int:
    """Return the epoch after which a part of a trial begins; 0 for the first part."""
    return int(str(key).partition(FROM)[2] or 0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a piece of work.

    Attributes:
        result: plain data for JSON.
        values: the finite numbers that Optuna shows as the trial's values, one for each direction of the study; none if
            the piece failed.
        curve: losses by epoch, which Optuna shows as intermediate values.
        constraints: by name; a positive value violates the constraint.
    """

    result: Mapping[str, Any]
    values: tuple[float, ...] = ()
    curve: Sequence[float] = ()
    constraints: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Claim:
    """A piece of work that this worker holds, by Optuna's id of its trial."""

    key: Key
    trial_id: int


@dataclass(frozen=True, slots=True)
class Table:
    """The state of each piece of work.

    Attributes:
        first: the first trial of each piece, whose values all its trials share.
        running: the trial that holds each piece which a worker is doing.
        ended: the trial with the result of each piece that has ended.
        surplus: unfinished trials of pieces that another trial holds.
        others: trials without a key.
        num_trials: of all these; the number that the next trial gets, unless another process adds one before.
    """

    first: Mapping[Key, FrozenTrial]
    running: Mapping[Key, FrozenTrial]
    ended: Mapping[Key, FrozenTrial]
    surplus: tuple[FrozenTrial, ...]
    others: tuple[FrozenTrial, ...]
    num_trials: int

    @classmethod
    def of(cls, trials: Iterable[FrozenTrial]) -> Self:
        """Sort trials, which come in the order of their numbers, by piece."""
        first: dict[Key, FrozenTrial] = {}
        running: dict[Key, FrozenTrial] = {}
        ended: dict[Key, FrozenTrial] = {}
        surplus, others, num_trials = [], [], 0
        for trial in trials:
            num_trials += 1
            key = trial.user_attrs.get(KEY)
            if key is None:
                others.append(trial)
                continue
            first.setdefault(key, trial)
            if is_lost(trial):
                continue
            if key in running or key in ended:
                if not trial.state.is_finished():
                    surplus.append(trial)
            else:
                (ended if trial.state.is_finished() else running)[key] = trial
        return cls(first, running, ended, tuple(surplus), tuple(others), num_trials)

    def latest_parts(self) -> list[FrozenTrial]:
        """Return the latest part of each trial that has ended, in the order of their numbers."""
        parts = sorted(self.ended.values(), key=lambda trial: trial.number)
        latest = {number_of(trial.user_attrs[KEY]): trial for trial in parts}
        return [latest[number] for number in sorted(latest)]

    def is_open(self, key: Key) -> bool:
        """Say whether a piece has not ended and no worker holds it."""
        return key not in self.running and key not in self.ended


def is_lost(trial: FrozenTrial) -> bool:
    """Say whether a trial ended without a result; its piece of work is then open again."""
    return trial.state.is_finished() and RESULT not in trial.user_attrs
