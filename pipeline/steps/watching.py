"""Turn what happens in range tests and studies into events, and stop a run, or store where it stands, in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from lrrt import Bounds
from lrrt.words import score_text
from pipeline.console.events import EpochDone, Note, RangeTestDone, RangeTestStarted, RepeatDone, TrialDone
from pipeline.run import Run
from pipeline.state.stored import drop_checkpoint, read_checkpoint, write_best_weights
from studies import EpochEnded, TensorBoardLog, Trained, TrialCheckpoint, TrialResult, Watcher
from studies.judging.ranking import Leaders
from studies.sharing.pieces import Key

CHECKPOINT_EVERY_S = 60.0  # what a killed process may lose of a long training; writing it takes a fraction of a second


class StageWatcher(Watcher):
    """Watches one process of a run.

    Args:
        run: whose.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.on_note = cache(lambda text: run.tell(Note(text)))  # type: ignore[method-assign]  # each sentence once
        self._began_at = time.monotonic()
        self._stored_at = time.monotonic()
        self._key: Key = 0

    def on_case_begin(self, label: str) -> None:
        """Say that a range test begins."""
        self.run.stopper.check()
        self._began_at = time.monotonic()
        test = self.run.config.range_test
        self.run.tell(RangeTestStarted(label, test.num_steps, test.repeats))

    def on_repeat_end(self, label: str, repeat: int) -> None:
        """Say that a repeat has ended."""
        self.run.tell(RepeatDone(label, repeat, self.run.config.range_test.repeats))
        self.run.stopper.check()

    def on_case_end(self, label: str, bounds: Bounds) -> None:
        """Say what bounds were found."""
        seconds = time.monotonic() - self._began_at
        self.run.tell(RangeTestDone(label, bounds, seconds))

    def may_train(self) -> bool:
        """Say whether this process trains, or others do in its place."""
        return self.run.trains()

    def on_wait(self) -> None:
        """Stop a run that waits, if it is asked to."""
        self.run.stopper.check()

    def checkpoint_of(self, key: Key) -> TrialCheckpoint | None:
        """Return where a training was interrupted."""
        self._key = key
        checkpoint = read_checkpoint(self.run.directory, key)
        if checkpoint is not None:
            of_fold = f" on fold {len(checkpoint.folds) + 1}" if checkpoint.folds else ""
            done = f"epoch {checkpoint.epoch} of {checkpoint.epochs}{of_fold}"
            self.run.tell(Note(f"trial {checkpoint.number} goes on after {done}"))
        return checkpoint

    def on_epoch_end(self, ended: EpochEnded) -> None:
        """Store where a training stands, now and then and before the run stops."""
        reason = self.run.stopper.reason()
        is_due = reason is not None or time.monotonic() - self._stored_at > CHECKPOINT_EVERY_S
        if is_due and ended.checkpoint is not None:
            ended.checkpoint().save(self.run.directory.checkpoint(self._key))
            self._stored_at = time.monotonic()
        if reason is not None:
            raise reason

    def on_pause(self, key: Key, checkpoint: TrialCheckpoint) -> None:
        """Store where a trial stays behind at a rung."""
        checkpoint.save(self.run.directory.checkpoint(key))

    def on_left(self, key: Key) -> None:
        """Remove the checkpoint of a trial that stays behind for good."""
        drop_checkpoint(self.run.directory, key)

    def on_training_end(self, name: str, trained: Trained) -> None:
        """Say what a further training showed."""
        drop_checkpoint(self.run.directory, self._key)
        result = trained.result
        shown = result.state.value if result.score is None else f"{result.objective.label} {score_text(result.score)}"
        self.run.tell(Note(f"trial {result.number} again, {name}: {shown}"))


@dataclass(frozen=True, slots=True)
class Goal:
    """Where a search stands when it begins: the results so far, and how many there are to be."""

    results: Sequence[TrialResult]
    num_trials: int


class SearchWatcher(StageWatcher):
    """Watches one process of a run while it searches.

    Args:
        run: whose.
        goal: of the search.
        hear: says what others found besides trials; it is called before one of theirs is shown, and during a wait.
    """

    def __init__(self, run: Run, goal: Goal, hear: Callable[[], None] = lambda: None) -> None:
        super().__init__(run)
        self._hear = hear
        study = run.config.study
        num_best = max(1, study.keep_top, study.top_retrained)
        self._leaders = Leaders(goal.results, num=num_best, max_gap=study.max_gap)
        self._num_trials = goal.num_trials
        self._log = TensorBoardLog(run.directory.tensorboard) if run.config.study.tensorboard else None

    def on_wait(self) -> None:
        """Say what others found, and stop a run that waits, if it is asked to."""
        self._hear()
        super().on_wait()

    def on_epoch_end(self, ended: EpochEnded) -> None:
        """Say what an epoch showed, and store where its trial stands."""
        self.run.tell(EpochDone(ended))
        super().on_epoch_end(ended)

    def on_trial_end(self, trained: Trained) -> None:
        """Store the weights of a trial that is among the best, and say what it showed."""
        if self._log is not None:
            self._log(trained)
        write_best_weights(self.run.directory, trained, self._leaders)
        drop_checkpoint(self.run.directory, self._key)
        self._show(trained.result)

    def on_result(self, result: TrialResult) -> None:
        """Say what a trial of another process showed, unless it had ended before the run began."""
        if result not in self._leaders:
            self._hear()
            self._show(result)

    def _show(self, result: TrialResult) -> None:
        self._leaders.add(result)
        best = next(iter(self._leaders.best), None)
        self.run.tell(TrialDone(result, best, len(self._leaders), self._num_trials))
