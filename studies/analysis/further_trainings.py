"""Train the best few trials again, on fresh seeds and on folds of the data, together with other workers.

The best of many trials is partly lucky: by its seed, and by having been chosen for its score. The mean of trainings
that had no part in the choice is free of both.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from studies.attempt import attempt
from studies.cross_validation import CrossValidator
from studies.pruning import is_worse_on_folds
from studies.ranking import excess_gap
from studies.storage.board import RESULT, Outcome, Table
from studies.storage.shared_work import Check, Piece
from studies.trainer import Trainer
from studies.trial import TrialResult
from studies.watcher import Watcher


@dataclass(frozen=True, slots=True)
class Round:
    """A training of every trial that is trained again.

    Attributes:
        name: its seed or fold: "seed 1", "fold 2 of 5".
        make_trainer: makes its trainer.
        is_fold: whether it trains on a fold of the data.
        prunes: whether it leaves out trials that were clearly worse on the folds before.
    """

    name: str
    make_trainer: Callable[[], Trainer | CrossValidator]
    is_fold: bool = False
    prunes: bool = False


@dataclass(frozen=True, slots=True)
class Training:
    """A further training of a trial, named after its round; the number of the result is the trial's."""

    name: str
    result: TrialResult

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"training": self.name, **self.result.as_dict()}


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of several trainings of one trial.

    Attributes:
        results: the results of the trainings.
        num_planned: the number of trainings if none is left out because the trial is clearly worse than another.
    """

    results: tuple[TrialResult, ...]
    num_planned: int = 0

    @property
    def ended(self) -> tuple[float, ...]:
        """The scores of the trainings that were completed."""
        return tuple(result.score for result in self.results if result.is_candidate and result.score is not None)

    @property
    def costs(self) -> tuple[float, ...]:
        """The scores of the trainings that were completed, with the sign that makes lower better."""
        return tuple(result.cost for result in self.results if result.is_candidate and result.cost is not None)

    @property
    def mean_score(self) -> float | None:
        """The mean of the scores; None if a training was not completed, or was left out."""
        has_all = len(self.ended) == len(self.results) >= max(1, self.num_planned)
        return fmean(self.ended) if has_all else None

    @property
    def spread(self) -> float | None:
        """The standard deviation of the scores; None if there are fewer than two."""
        return stdev(self.ended) if len(self.ended) > 1 else None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        scores = [result.score if result.is_candidate else None for result in self.results]
        return {"mean_score": self.mean_score, "spread": self.spread, "scores": scores}


@dataclass(frozen=True, slots=True)
class Retrained:
    """A trial and its further trainings, on fresh seeds and on folds."""

    trial: TrialResult
    on_seeds: tuple[Training, ...]
    on_folds: tuple[Training, ...]
    num_folds: int = 0

    @property
    def trainings(self) -> tuple[Training, ...]:
        """All further trainings."""
        return (*self.on_seeds, *self.on_folds)

    @property
    def seeds(self) -> Scores:
        """The scores on fresh seeds."""
        return Scores(tuple(training.result for training in self.on_seeds))

    @property
    def folds(self) -> Scores:
        """The scores on folds; fewer than `num_folds` if the first ones were clearly worse than another trial's."""
        return Scores(tuple(training.result for training in self.on_folds), self.num_folds)

    @property
    def judged(self) -> Scores:
        """The scores by which trials are ranked: on folds, which also differ by their data, or else on seeds."""
        return self.folds if self.on_folds else self.seeds

    @property
    def mean_score(self) -> float | None:
        """The mean by which trials are ranked; None if a training was not completed, or was left out."""
        return self.judged.mean_score

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "number": self.trial.number,
            "score": self.trial.score,
            "mean_score": self.mean_score,
            "spread": self.judged.spread,
            "seeds": self.seeds.as_dict(),
            "folds": self.folds.as_dict(),
        }


class FurtherTrainings:
    """The further trainings of a few trials, for one worker; see `studies.storage.shared_work.Job` for its methods.

    Args:
        trials: the best few trials.
        rounds: the rounds in order; one that prunes begins when the folds before it have ended.
        watcher: follows the trainings.
    """

    def __init__(self, trials: Sequence[TrialResult], rounds: Sequence[Round], watcher: Watcher) -> None:
        self.trials, self.rounds, self.watcher = trials, rounds, watcher
        self._trainer: tuple[str, Trainer | CrossValidator] | None = (
            None  # of the last round; the next frees its memory
        )

    def is_done(self, table: Table) -> bool:
        needed, is_all = self._needed(table)
        return is_all and all(_key(round_.name, trial) in table.ended for round_, trial in needed)

    def next_piece(self, table: Table, spread: int) -> Piece | None:
        if not self.watcher.may_train():
            return None
        pieces = [
            (round_, trial) for round_, trial in self._needed(table)[0] if table.is_open(_key(round_.name, trial))
        ]
        if not pieces:
            return None
        round_, trial = random.choice(pieces[:spread])
        return Piece(_key(round_.name, trial), lambda check: self._outcome(round_, trial, check))

    def values_of(self, result: Mapping[str, Any]) -> tuple[float, ...]:
        return _values(TrialResult.from_dict(result))

    def on_look(self, table: Table) -> None:
        pass

    def on_wait(self) -> None:
        self.watcher.on_wait()

    def retrained(self, table: Table, *, max_gap: float | None = None) -> tuple[Retrained, ...]:
        """Return the trials with their further trainings in the table, the best mean first.

        Args:
            table: the board's table.
            max_gap: the largest generalisation gap allowed; trials with a larger one come last.
        """
        num_folds = sum(round_.is_fold for round_ in self.rounds)
        every = [
            Retrained(trial, self._of(trial, table, folds=False), self._of(trial, table, folds=True), num_folds)
            for trial in self.trials
        ]

        def rank(one: Retrained) -> tuple[float, float, int]:
            mean = float("inf") if one.mean_score is None else one.trial.objective.cost(one.mean_score)
            return excess_gap(one.trial, max_gap), mean, one.trial.number

        return tuple(sorted(every, key=rank))

    def _needed(self, table: Table) -> tuple[list[tuple[Round, TrialResult]], bool]:
        """Return the pieces that are certainly needed, and whether these are all."""
        needed: list[tuple[Round, TrialResult]] = []
        for round_ in self.rounds:
            folds_before = [_key(one.name, trial) for one, trial in needed if one.is_fold]
            if round_.prunes and not all(key in table.ended for key in folds_before):
                return needed, False
            left_out = self._clearly_worse(table, before=round_) if round_.prunes else ()
            needed += [(round_, trial) for trial in self.trials if trial not in left_out]
        return needed, True

    def _clearly_worse(self, table: Table, *, before: Round) -> list[TrialResult]:
        """Return the trials that were clearly worse on the folds before a round, or not completed on one of them."""
        folds = [one for one in self.rounds[: self.rounds.index(before)] if one.is_fold]
        ended = {trial.number: Scores(self._results(trial, table, folds)).costs for trial in self.trials}
        whole = [costs for costs in ended.values() if len(costs) == len(folds) > 0]
        best = min(whole, key=fmean, default=())
        return [
            trial
            for trial in self.trials
            if len(ended[trial.number]) < len(best) or is_worse_on_folds(ended[trial.number], best)
        ]

    def _results(self, trial: TrialResult, table: Table, rounds: Iterable[Round]) -> tuple[TrialResult, ...]:
        trainings = (table.ended.get(_key(one.name, trial)) for one in rounds)
        return tuple(TrialResult.from_dict(one.user_attrs[RESULT]) for one in trainings if one is not None)

    def _of(self, trial: TrialResult, table: Table, *, folds: bool) -> tuple[Training, ...]:
        ended = ((one.name, table.ended.get(_key(one.name, trial))) for one in self.rounds if one.is_fold is folds)
        return tuple(
            Training(name, TrialResult.from_dict(done.user_attrs[RESULT])) for name, done in ended if done is not None
        )

    def _outcome(self, round_: Round, trial: TrialResult, check: Check) -> Outcome:
        key = _key(round_.name, trial)
        trainer = self._trainer_of(round_)
        trained = attempt(trainer, trial.config, number=trial.number, key=key, watcher=self.watcher, check=check)
        check(True)
        self.watcher.on_training_end(round_.name, trained)
        return Outcome(trained.result.as_dict(), _values(trained.result), trained.result.scores)

    def _trainer_of(self, round_: Round) -> Trainer | CrossValidator:
        if self._trainer is None or self._trainer[0] != round_.name:
            self._trainer = None
            self._trainer = round_.name, round_.make_trainer()
        return self._trainer[1]


def _values(result: TrialResult) -> tuple[float, ...]:
    return () if result.score is None else (result.score,)


def _key(name: str, trial: TrialResult) -> str:
    return f"{name}, trial {trial.number}"
