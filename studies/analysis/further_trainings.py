"""Train the best few trials again, on fresh seeds and on folds of the data, together with other workers.

The best of many trials is partly lucky: by its seed, and by having been chosen for its score. The mean of trainings
that had no part in the choice is free of both.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from studies.analysis.retrained import Retrained, Scores, Training
from studies.judging.pruning import is_worse_on_folds
from studies.judging.ranking import excess_gap
from studies.sharing.pieces import RESULT, Outcome, Table
from studies.sharing.shared_work import Check, Piece
from studies.trainer import Trainer
from studies.trial import TrialResult
from studies.work.attempt import attempt
from studies.work.cross_validation import CrossValidator
from studies.work.watcher import Watcher


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


class FurtherTrainings:
    """The further trainings of a few trials, for one worker; see `studies.sharing.shared_work.Job` for its methods.

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
        """Say whether every further training has ended."""
        needed, is_all = self._needed(table)
        return is_all and all(_key(round_.name, trial) in table.ended for round_, trial in needed)

    def next_piece(self, table: Table, spread: int) -> Piece | None:
        """Return one of the first `spread` further trainings that are open; None if there is none."""
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
        """Return the costs of a stored result."""
        return _values(TrialResult.from_dict(result))

    def on_look(self, table: Table) -> None:
        """Take no notice of a table: what others have done is read when it is needed."""

    def on_wait(self) -> None:
        """Tell the watcher that this process waits for others."""
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
