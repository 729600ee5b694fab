"""Turn the trials of a study into pieces of work, which any of its workers may take."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from studies.attempt import attempt
from studies.cross_validation import CrossValidator
from studies.engines.observation import Engine, Observation, Values, score_for_engines
from studies.engines.optuna_engine import GAP
from studies.engines.optuna_samplers import distribution
from studies.pruning import best_on_folds, is_worse_on_folds, is_worse_than_its_peers
from studies.ranking import excess_gap
from studies.space.search_space import SearchSpace
from studies.storage.board import RESULT, Board, Outcome, Table
from studies.storage.retrying import Retrying
from studies.storage.shared_work import Check, Piece
from studies.storage.stored_study import known_trials
from studies.trainer import EpochEnded, Trainer
from studies.trial import TrialConfig, TrialResult, TrialState
from studies.watcher import Watcher

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


class TrialReader:
    """Read the results of the trials in a table, each once.

    Args:
        max_gap: the largest generalisation gap that a trial may have.
    """

    def __init__(self, max_gap: float | None) -> None:
        self.max_gap = max_gap
        self._read: dict[int, tuple[TrialResult, Observation]] = {}  # by Optuna's number of the trial

    def results(self, table: Table) -> list[TrialResult]:
        """Return the results, in the order of their numbers."""
        return [self._of(table.ended[key])[0] for key in sorted(table.ended)]

    def observations(self, table: Table) -> list[Observation]:
        """Return the observations of an engine: from these trials, and from another study."""
        known = [Observation(-1 - index, trial.params, trial.value) for index, trial in known_trials(table).items()]
        return [*known, *(self._of(table.ended[key])[1] for key in sorted(table.ended))]

    def _of(self, trial: FrozenTrial) -> tuple[TrialResult, Observation]:
        if trial.number not in self._read:
            result = TrialResult.from_dict(trial.user_attrs[RESULT])
            score = trial.value if trial.state.name == "COMPLETE" else None
            gap = None if self.max_gap is None else excess_gap(result, self.max_gap)
            self._read[trial.number] = result, Observation(result.number, trial.params, score, gap)
        return self._read[trial.number]


class Searched(Protocol):
    """What the search needs of a study; see `studies.Study`."""

    space: SearchSpace
    engine: Engine
    board: Board
    reader: TrialReader
    first_number: int
    prunes: bool

    @property
    def budget(self) -> int: ...


class Search:
    """The trials of a study, for one worker; see `studies.storage.shared_work.Job` for its methods.

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
        return self._is_exhausted or all(number in table.ended for number in self._numbers)

    def next_piece(self, table: Table, spread: int) -> Piece | None:
        numbers = [number for number in self._numbers if table.is_open(number)]
        if not numbers or not self.watcher.may_train():
            return None
        # An engine that must not repeat a point proposes for the lowest number, because it then sees all other points.
        number = numbers[0] if self.study.engine.repeats_nothing else random.choice(numbers[:spread])
        first = table.first.get(number)
        values = self._proposed(number, table) if first is None else first.params
        if values is None:
            return None
        config = TrialConfig.from_parameters(values)
        distributions = {name: self._distributions[name] for name in values}
        return Piece(number, lambda check: self._outcome(number, config, table, check), values, distributions)

    def value_of(self, result: Mapping[str, Any]) -> float | None:
        others = self.study.reader.results(self.study.board.table())
        return score_for_engines(TrialResult.from_dict(result), others)

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

    def _outcome(self, number: int, config: TrialConfig, table: Table, check: Check) -> Outcome:
        results = self.study.reader.results(table)
        assert self.trainer is not None, "a job without a trainer is asked for no piece"

        def is_pruned(ended: EpochEnded) -> bool:
            if ended.fold_scores is not None:
                return is_worse_on_folds(ended.fold_scores, best_on_folds(results))
            return self.study.prunes and is_worse_than_its_peers(
                config, ended.train_losses, ended.val_losses, results, epochs=ended.epochs
            )

        trained = attempt(
            self.trainer, config, number=number, key=number, watcher=self.watcher, check=check, is_pruned=is_pruned
        )
        check(True)
        self.watcher.on_trial_end(trained)
        result, max_gap = trained.result, self.study.reader.max_gap
        if result.state is TrialState.DIVERGED:  # others may have ended since; the penalty depends on the worst
            results = self.study.reader.results(self.retry(self.study.board.table))
        self.num_trained += 1
        self._reported.add(number)
        return Outcome(
            result.as_dict(),
            score_for_engines(result, results),
            result.val_losses,
            {} if max_gap is None else {GAP: excess_gap(result, max_gap)},
        )
