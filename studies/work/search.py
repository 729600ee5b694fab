"""Turn the trials of a study into pieces of work, which any of its workers may take."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from studies.engines.observation import Engine, Observation, Values, cost_for_engines, excesses, further_costs
from studies.engines.optuna_samplers import distribution
from studies.judging.halving import Prunes, behind, beyond_promotion, stays_behind
from studies.judging.pruning import best_on_folds, is_worse_on_folds, is_worse_than_its_peers
from studies.objective import Objectives
from studies.sharing.board import Board
from studies.sharing.pieces import Key, Outcome, Table, epoch_before, key_from, number_of
from studies.sharing.shared_work import Check, Piece
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
from studies.work.trial_reader import TrialReader
from studies.work.watcher import Watcher

HUNG = "hung where Python cannot interrupt it, so that its process had to end"


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
    prunes: Prunes
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
        self._reported: set[tuple[int, TrialState, int]] = set()
        self._left: set[Key] = set()

    def on_look(self, table: Table) -> None:
        first = self.study.first_number
        num_trials = self.study.budget if self._num_trials is None else self._num_trials
        self._numbers = range(first, first + num_trials)
        results = self.study.reader.results(table)
        for result in results:
            if result.part not in self._reported:
                self.watcher.on_result(result)
        self._reported = {result.part for result in results}
        if self.study.reader.halves:
            self._leave(beyond_promotion(results, sum(number not in table.ended for number in self._numbers)))

    def is_done(self, table: Table) -> bool:
        if self._is_exhausted or all(number in table.ended for number in self._numbers):
            return not self.study.reader.has_more(table)
        reason = None if table.running else self.study.reader.reason_to_end(table)
        if reason is not None:
            self.watcher.on_note(f"{reason}, so the study ends after {len(table.latest_parts())} trials")
            self._leave(behind(self.study.reader.results(table)) if self.study.reader.halves else ())
        return reason is not None

    def next_piece(self, table: Table, spread: int) -> Piece | None:
        promoted = self.study.reader.promoted(table)[:spread]
        numbers = [number for number in self._numbers if table.is_open(number)]
        if not (promoted or numbers) or not self.watcher.may_train() or self.study.reader.reason_to_end(table):
            return None
        if promoted:
            paused = random.choice(promoted)
            return self._piece(paused.number, table.first[paused.number].params, table, len(paused.val_losses))
        # An engine that must not repeat a point proposes for the lowest number, because it then sees all other points.
        number = numbers[0] if self.study.engine.repeats_nothing else random.choice(numbers[:spread])
        first = table.first.get(number)
        values = self._proposed(number, table) if first is None else first.params
        if values is None:
            return None
        return self._piece(number, values, table)

    def _piece(self, number: int, values: Values, table: Table, passed: int = 0) -> Piece:
        """Return a trial as a piece of work, or the part of it after the epoch `passed`, from which it is promoted."""
        assert self.trainer is not None, "a job without a trainer is asked for no piece"
        # A hyperparameter that does not exist in this trial's model is not recorded, and no sampler learns from it.
        config = self.trainer.as_built(TrialConfig.from_parameters(values))
        recorded = config.parameters()
        values = {name: value for name, value in values.items() if name in recorded}
        distributions = {name: self._distributions[name] for name in values}
        so_far = SoFar(
            TrialResult(number, config, TrialState.TIMED_OUT, error=HUNG, objective=self.study.objectives[0])
        )
        key = key_from(number, passed)
        return Piece(
            key,
            lambda check: self._outcome(key, config, table, so_far, check),
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
        running = [trial.params for key, trial in table.running.items() if number_of(key) not in table.ended]
        ended = self.study.reader.observations(table)
        values = self.study.engine.propose(number - self.study.first_number, ended, running)
        if values is None and not running:
            self._is_exhausted = True
            self.watcher.on_note(
                f"all {len(table.latest_parts())} combinations have been tried, so the study ends before trial "
                f"{len(self._numbers)}"
            )
        return values

    def _outcome(self, key: Key, config: TrialConfig, table: Table, so_far: SoFar, check: Check) -> Outcome:
        number, passed = number_of(key), epoch_before(key)
        results = self.study.reader.results(table)
        assert self.trainer is not None, "a job without a trainer is asked for no piece"

        def is_pruned(ended: EpochEnded) -> bool:
            so_far.result = replace(ended.so_far(), state=TrialState.TIMED_OUT, error=HUNG)
            if ended.fold_scores is not None:
                costs = ended.objective.costs(ended.fold_scores)
                return is_worse_on_folds(costs, best_on_folds(results))
            if self.study.reader.halves:
                return self._stays_behind(ended, results, passed)
            return bool(self.study.prunes) and is_worse_than_its_peers(ended.so_far(), results)

        limits = self.study.reader.limits
        trained = attempt(
            self.trainer,
            config,
            number=number,
            key=key,
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
        self._reported.add(result.part)
        return self._stored(result, results)

    def _leave(self, results: Iterable[TrialResult]) -> None:
        """Let the watcher forget the checkpoints of trials that stay behind for good."""
        for key in [key_from(one.number, len(one.val_losses)) for one in results]:
            if key not in self._left:
                self._left.add(key)
                self.watcher.on_left(key)

    def _stays_behind(self, ended: EpochEnded, results: Sequence[TrialResult], passed: int) -> bool:
        """Say whether a trial stays behind at a rung; if so, hand its checkpoint on to the part that may follow."""
        stays = stays_behind(ended.so_far(), results, passed=passed)
        if stays and ended.checkpoint is not None:
            self.watcher.on_pause(key_from(ended.number, ended.epoch), ended.checkpoint())
        return stays

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
