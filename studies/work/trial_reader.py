"""Read what the trials of a table show: their results, and what an engine learns from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studies.engines.observation import Observation, excesses
from studies.judging.halving import promoted
from studies.judging.limits import Limits
from studies.objective import Objectives
from studies.sharing.pieces import RESULT, Table, key_from, number_of
from studies.sharing.stored_study import known_trials
from studies.trial import TrialResult

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


class TrialReader:
    """Read the results of the trials in a table, each once.

    Args:
        objectives: of the study, the first of which ranks trials.
        max_gap: the largest generalisation gap that a trial may have.
        limits: of the study.
        halves: whether trials that stayed behind at a rung may be promoted; see `studies.judging.halving`.
    """

    def __init__(self, objectives: Objectives, max_gap: float | None, limits: Limits, *, halves: bool = False) -> None:
        self.objectives, self.max_gap, self.limits, self.halves = objectives, max_gap, limits, halves
        self._read: dict[int, tuple[TrialResult, Observation]] = {}  # by Optuna's number of the trial

    def results(self, table: Table) -> list[TrialResult]:
        """Return the results, in the order of their numbers."""
        return [self._of(trial)[0] for trial in table.latest_parts()]

    def observations(self, table: Table) -> list[Observation]:
        """Return the observations of an engine: from these trials, and from another study."""
        known = [
            Observation(-1 - index, trial.params, costs[0], further=costs[1:])
            for index, trial in known_trials(table).items()
            if (costs := self._costs(trial))
        ]
        return [*known, *(self._of(trial)[1] for trial in table.latest_parts())]

    def promoted(self, table: Table) -> list[TrialResult]:
        """Return the trials that stayed behind and may be taken to go on, in the order of promotion."""
        waiting = promoted(self.results(table)) if self.halves else ()
        return [one for one in waiting if table.is_open(key_from(one.number, len(one.val_losses)))]

    def has_more(self, table: Table) -> bool:
        """Say whether trials of which a part has ended are in training again, or are to be."""
        return bool(self.promoted(table)) or any(number_of(key) in table.ended for key in table.running)

    def reason_to_end(self, table: Table) -> str | None:
        """Return why the study needs no more trials; None if it does."""
        known = [self._costs(trial)[0] for trial in known_trials(table).values()]
        return self.limits.reason_to_end(self.results(table), self.objectives[0], known)

    def _of(self, trial: FrozenTrial) -> tuple[TrialResult, Observation]:
        if trial.number not in self._read:
            result = TrialResult.from_dict(trial.user_attrs[RESULT])
            excess = excesses(result, self.max_gap, self.limits)
            cost, *further = self._costs(trial) or (None,)
            observation = Observation(result.number, trial.params, cost, *excess, tuple(further))
            self._read[trial.number] = result, observation
        return self._read[trial.number]

    def _costs(self, trial: FrozenTrial) -> tuple[float, ...]:
        """Return the costs that a trial was stored with; none if it failed."""
        values = trial.values if trial.state.name == "COMPLETE" else ()
        return tuple(one.cost(value) for one, value in zip(self.objectives, values, strict=bool(values)))
