"""Turn the trials of a study into pieces of work, which any of its workers may take."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from studies.engines.observation import Engine, Observation, Values, cost_for_engines, excesses, further_costs
from studies.engines.optuna_samplers import distribution
from studies.judging.limits import Limits
from studies.judging.pruning import best_on_folds, is_worse_on_folds, is_worse_than_its_peers
from studies.objective import Objectives
from studies.sharing.board import Board
from studies.sharing.pieces import RESULT, Outcome, Table
from studies.sharing.shared_work import Check, Piece
from studies.sharing.stored_study import known_trials
from studies.space.search_space import SearchSpace
from studies.storage.retrying import Retrying
from studies.trainer import Trainer
from studies.training.ended import EpochEnded
from studies.training.training_loss import with_evaluated_loss
from studies.trial import TrialResult, TrialState
from studies.trial_config import TrialConfig
from studies.user_code import tried
from studies.work.attempt import attempt
from studies.work.cross_validation import CrossValidator
from studies.work.watcher import Watcher

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


HUNG = "hung where Python cannot interrupt it, so that its process had to end"


class TrialReader:
    """Read the results of the trials in a table, each once.

    Args:
        objectives: of the study, the first of which ranks trials.
        max_gap: the largest generalisation gap that a trial may have.
        limits: of the study.
    """

    def __init__(self, objectives: Objectives, max_gap: float | None, limits: Limits) -> None:
        self.objectives, self.max_gap, self.limits = objectives, max_gap, limits
        self._read: dict[int, tuple[TrialResult, Observation]] = {}  # by Optuna's number of the trial

    def results(self, table: Table) -> list[TrialResult]:
        """Return the results, in the order of their numbers."""
        return [self._of(table.ended[key])[0] for key in sorted(table.ended)]

    def observations(self, table: Table) -> list[Observation]:
        """Return the observations of an engine: from these trials, and from another study."""
        known = [
            Observation(-1 - index, trial.params, costs[0], further=costs[1:])
            for index, trial in known_trials(table).items()
            if (costs := self._costs(trial))
        ]
        return [*known, *(self._of(table.ended[key])[1] for key in sorted(table.ended))]

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


@dataclass(slots=True)
class SoFar:
    """What a trial has reached, for a thread that looks on."""

    result: TrialResult


class Searched(Protocol):
    """What the search needs of a study; see `studies.Study`."""

    space: SearchSpace
    engine: Engine
    board: Board
    reader: TrialReader
    first_number: int
    prunes: bool
    objectives: Objectives

    @property
    def budget(self) -> int: ...


class Search:
    """The trials of a study, for one worker; see `studies.sharing.shared_work.Job` for its methods.

    Args:
        study: the study of the trials.
        trainer: trains the trials; None if nothing is trained.
        num_trials: the budget; None takes the study's budget, which other processes may raise.
        watcher: follows the study.
        retry: calls the storage.
    """

    def __init__(
        self,
        study: Searched,
        trainer: Trainer | CrossValidator | None,
        num_trials: int | None,
        watcher: Watcher,
        retry: Retrying,
    ) -> None:
        self.study, self.trainer, self.watcher, self.retry = study, trainer, watcher, retry
        self.num_trained = 0
        self._num_trials = num_trials
        self._numbers = range(0)
        self._distributions = {dimension.name: distribution(dimension) for dimension in study.space.dimensions()}
        self._is_exhausted = False
        self._reported: set[int] = set()

    def on_look(self, table: Table) -> None:
        first = self.study.first_number
        num_trials = self.study.budget if self._num_trials is None else self._num_trials
        self._numbers = range(first, first + num_trials)
        results = self.study.reader.results(table)
        for result in results:
            if result.number not in self._reported:
                self.watcher.on_result(result)
        self._reported = {result.number for result in results}

    def is_done(self, table: Table) -> bool:
        if self._is_exhausted or all(number in table.ended for number in self._numbers):
            return True
        reason = None if table.running else self.study.reader.reason_to_end(table)
        if reason is not None:
            self.watcher.on_note(f"{reason}, so the study ends after {len(table.ended)} trials")
        return reason is not None

    def next_piece(self, table: Table, spread: int) -> Piece | None:
        numbers = [number for number in self._numbers if table.is_open(number)]
        if not numbers or not self.watcher.may_train() or self.study.reader.reason_to_end(table) is not None:
            return None
        # An engine that must not repeat a point proposes for the lowest number, because it then sees all other points.
        number = numbers[0] if self.study.engine.repeats_nothing else random.choice(numbers[:spread])
        first = table.first.get(number)
        values = self._proposed(number, table) if first is None else first.params
        if values is None:
            return None
        assert self.trainer is not None, "a job without a trainer is asked for no piece"
        # A hyperparameter that does not exist in this trial's model is not recorded, and no sampler learns from it.
        config = self.trainer.as_built(TrialConfig.from_parameters(values))
        recorded = config.parameters()
        values = {name: value for name, value in values.items() if name in recorded}
        distributions = {name: self._distributions[name] for name in values}
        so_far = SoFar(
            TrialResult(number, config, TrialState.TIMED_OUT, error=HUNG, objective=self.study.objectives[0])
        )
        return Piece(
            number,
            lambda check: self._outcome(number, config, table, so_far, check),
            values,
            distributions,
            self.trainer.max_trial_s,
            lambda: self._stored(so_far.result, self.study.reader.results(table)),
        )

    def values_of(self, result: Mapping[str, Any]) -> tuple[float, ...]:
        others = self.study.reader.results(self.study.board.table())
        return self._values(TrialResult.from_dict(result), others)

    def on_wait(self) -> None:
        self.watcher.on_wait()

    def _proposed(self, number: int, table: Table) -> Values | None:
        running = [trial.params for trial in table.running.values()]
        ended = self.study.reader.observations(table)
        values = self.study.engine.propose(number - self.study.first_number, ended, running)
        if values is None and not running:
            self._is_exhausted = True
            self.watcher.on_note(
                f"all {len(table.ended)} combinations have been tried, so the study ends before trial "
                f"{len(self._numbers)}"
            )
        return values

    def _outcome(self, number: int, config: TrialConfig, table: Table, so_far: SoFar, check: Check) -> Outcome:
        results = self.study.reader.results(table)
        assert self.trainer is not None, "a job without a trainer is asked for no piece"

        def is_pruned(ended: EpochEnded) -> bool:
            so_far.result = replace(ended.so_far(), state=TrialState.TIMED_OUT, error=HUNG)
            if ended.fold_scores is not None:
                costs = ended.objective.costs(ended.fold_scores)
                return is_worse_on_folds(costs, best_on_folds(results))
            return self.study.prunes and is_worse_than_its_peers(ended.so_far(), results)

        limits = self.study.reader.limits
        trained = attempt(
            self.trainer,
            config,
            number=number,
            key=number,
            watcher=self.watcher,
            check=check,
            is_pruned=is_pruned,
            limits=limits,
        )
        if self.study.reader.max_gap is not None and isinstance(self.trainer, Trainer):
            trained = tried(partial(with_evaluated_loss, self.trainer.cache, trained))[0] or trained
        check(True)
        self.watcher.on_trial_end(trained)
        result = trained.result
        if result.state in (
            TrialState.DIVERGED,
            TrialState.INFEASIBLE,
        ):  # others may have ended since; the penalty depends on the worst
            results = self.study.reader.results(self.retry(self.study.board.table))
        self.num_trained += 1
        self._reported.add(number)
        return self._stored(result, results)

    def _stored(self, result: TrialResult, others: Sequence[TrialResult]) -> Outcome:
        excess = excesses(result, self.study.reader.max_gap, self.study.reader.limits)
        constraints = Observation(result.number, {}, None, *excess).constraints
        return Outcome(result.as_dict(), self._values(result, others), result.scores, constraints)

    def _values(self, result: TrialResult, others: Sequence[TrialResult]) -> tuple[float, ...]:
        """Return the values that a trial has in Optuna, in the directions of the study; none if it failed."""
        first, *further = self.study.objectives
        cost = cost_for_engines(result, others)
        if cost is None:
            return ()
        costs = (cost, *further_costs(result, others, tuple(further)))
        return tuple(one.score(cost) for one, cost in zip((first, *further), costs, strict=True))
