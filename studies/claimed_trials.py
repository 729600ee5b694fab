"""Knows the trials of claimed slots: where their values come from, that their worker lives, what is told of them."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studies.dimension import Value
from studies.engines.optuna_samplers import quiet_optuna
from studies.space.search_space import SearchSpace
from studies.storage.database import Retrying, write_curve
from studies.storage.heartbeat import Heartbeat
from studies.storage.slot_queue import Claimed, SlotQueue
from studies.storage.slots import EXHAUSTED, RESULT, SlotTable, values_of
from studies.study import Told, TrialRunner, excess_gap, told_score
from studies.trial import TrialConfig, TrialResult, TrialState

if TYPE_CHECKING:
    import optuna

GIVE_BACK_S = 5.0  # for which a worker that is told to stop tries to give its slot back; a scheduler waits 30 s
Propose = Callable[[int, Sequence[TrialResult], Sequence[dict[str, Value]], Sequence[Told]], dict[str, Value] | None]
"""(a trial's number, the results, the values in training, what is known) -> its values; None where nothing is left."""


@dataclass(frozen=True, slots=True)
class ClaimedTrials:
    """Trains the trials of the slots that this worker claims.

    Attributes:
        study: where they are kept.
        slots: its slots.
        space: what is searched.
        propose: gives the values of trials in place of the study's sampler; None where that does.
        seed: of what a proposer leaves open.
        max_gap: the largest generalisation gap, a constraint to the sampler.
    """

    study: optuna.Study
    slots: SlotQueue
    space: SearchSpace
    propose: Propose | None
    seed: int
    max_gap: float | None

    def train(self, claimed: Claimed, runner: TrialRunner, retry: Retrying) -> bool:
        """Train the trial of a slot that was claimed; say whether it counts, or was taken over by another worker."""
        try:
            with self._beating(claimed, retry) as check:
                table = retry(self.slots.table)
                results = self.slots.results(table)
                if self.propose is not None:
                    retry(lambda: self.ask_proposer(claimed, table, results))
                trial, config = retry(lambda: self.suggested(claimed))
                result = runner.run(config, results, number=claimed.slot, check=check).result
                retry(lambda: self.finish(trial, result))
        except (_TakenOver, _NothingLeft):
            return False
        except BaseException:
            with contextlib.suppress(Exception):  # who starts next finds that this process has ended
                Retrying(retry.url, GIVE_BACK_S)(lambda: self._give_back(claimed))
            raise
        return True

    def ask_proposer(self, claimed: Claimed, table: SlotTable, results: Sequence[TrialResult]) -> None:
        """Have a trial's values come from the proposer, unless its slot waited with all of them."""
        import optuna

        kept = values_of(self.slots.storage.get_trial(claimed.trial_id))
        if self.space.fills(kept):
            return
        assert self.propose is not None, "asked only where there is one"
        others = [values_of(trial) for slot, trial in table.running.items() if slot != claimed.slot]
        known = [(trial.params, trial.value) for trial in table.known if trial.value is not None]
        values = self.propose(claimed.slot, results, others, known)
        if values is None:
            self.slots.storage.set_trial_user_attr(claimed.trial_id, EXHAUSTED, value=True)
            self.slots.fail_id(claimed.trial_id)
            raise _NothingLeft
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self.study.sampler = optuna.samplers.PartialFixedSampler(values, optuna.samplers.RandomSampler(self.seed))

    def suggested(self, claimed: Claimed) -> tuple[optuna.Trial, TrialConfig]:
        """Return the trial of a slot and the values that it is given."""
        import optuna

        trial = optuna.trial.Trial(self.study, claimed.trial_id)
        return trial, self.space.suggest(trial)

    def finish(self, trial: optuna.Trial, result: TrialResult) -> None:
        """Keep what a trial showed, and tell it to the sampler."""
        import optuna

        try:
            if self.max_gap is not None:
                trial.set_constraint("generalisation_gap", excess_gap(result, self.max_gap))
            trial.set_user_attr(RESULT, result.as_dict())
        except optuna.exceptions.UpdateFinishedTrialError:
            raise _TakenOver from None
        if self.slots.database is not None:
            write_curve(self.slots.database, trial._trial_id, result.val_losses)
        self.tell(trial.number, result)

    def tell(self, number: int, result: TrialResult) -> None:
        """Tell the sampler what the trial of Optuna's number showed, unless another worker has."""
        import optuna

        state = optuna.trial.TrialState.FAIL if result.state is TrialState.FAILED else None
        score = None if state else told_score(result, self.slots.results(self.slots.table()))
        # Whoever was faster told the same result: it is kept before it is told.
        with quiet_optuna(), contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            self.study.tell(number, score, state=state, skip_if_finished=True)

    @contextmanager
    def _beating(self, claimed: Claimed, retry: Retrying) -> Iterator[Any]:
        """Show signs of life while the block runs; yield what raises where the trial was taken over."""
        database = self.slots.database
        if database is None:
            yield lambda ends: None
            return

        def is_mine() -> bool:
            return self.slots.is_mine(claimed)

        with Heartbeat(database, claimed.trial_id, grace_s=self.slots.grace_s, is_mine=is_mine) as heartbeat:

            def check(ends: bool) -> None:
                # A process that slept past its grace may wake anywhere, so the end of a trial asks the storage.
                if heartbeat.is_lost or (ends and not retry(is_mine)):
                    raise _TakenOver

            yield check

    def _give_back(self, claimed: Claimed) -> None:
        trial = self.slots.storage.get_trial(claimed.trial_id)
        if RESULT not in trial.user_attrs:
            self.slots.give_back(trial)


class _NothingLeft(Exception):
    """The proposer has tried all of the space."""


class _TakenOver(Exception):
    """Another worker has taken the trial for lost, and its slot waits again."""
