"""Knows how KerasTuner proposes the trials of a study, and keeps them in KerasTuner's own layout."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from studies.space.differences import ForeignStudy
from studies.space.search_space import SearchSpace
from studies.storage.whole_file import is_leftover, write_text
from studies.study import OnTrial, OnWait, Resume, Told, TrialRunner, excess_gap, nothing_kept, told_of, told_score
from studies.trainer import OnEpoch, Trainer
from studies.trial import TrialResult, TrialState

SAMPLERS = ("random", "bayesian", "grid", "tpe")
RESULT_FILE = "result.json"  # in KerasTuner's folder of a trial
STUDY_FILE = "study.json"  # what the study searches
KNOWN = "known"  # the key in it of what the study was told of another


class KerasTunerStudy:
    """A study whose trials KerasTuner proposes, kept in a directory and resumable from it.

    Each trial that has ended is one file, written whole; KerasTuner's own files are made from those, so that a process
    killed anywhere loses no trial that has ended and repeats none. The first trials are what the range tests suggest.
    A diverged trial is told as a finite penalty; any number of trials may fail. One process at a time may use a
    directory.

    Args:
        space: what is searched.
        directory: KerasTuner's directory.
        name: the project's name in the directory.
        sampler: "random", "bayesian" or "grid", which are KerasTuner's, or "tpe", which is Optuna's.
        seed: what the sampler's choices come from.
        prunes: whether a trial is cut that is worse than its peers; see `studies.pruning`.
        max_gap: the largest generalisation gap, validation minus training loss at the best epoch, that a trial may
            have; what is beyond is added to the score that the sampler is told.
        known: results of another study, told to the sampler of a new one where they lie in the space; they do not
            count.

    Raises:
        ValueError: for an unknown sampler, or a name that is no plain name.
        ForeignStudy: where the directory has a study of another space, or something that is no study of ours.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        directory: Path | str,
        name: str = "lrrt",
        sampler: str = "random",
        seed: int = 0,
        prunes: bool = False,
        max_gap: float | None = None,
        known: Sequence[TrialResult] = (),
    ) -> None:
        if sampler not in SAMPLERS:
            raise ValueError(f"`sampler` must be one of {', '.join(SAMPLERS)}, got {sampler!r}.")
        if name in ("", ".", "..") or Path(name).name != name:
            raise ValueError(f"`name` must be a plain name without a path, got {name!r}. Put the path in `directory`.")
        self.space = space
        self._prunes, self._max_gap = prunes, max_gap
        self._folder = Path(directory) / name
        told = self._claim(told_of(known, space, max_gap=max_gap))
        self.tuner = self._make_tuner(sampler, seed)
        self.tuner.oracle.known = told
        self._runner: TrialRunner | None = None
        self._results: list[TrialResult] = []
        self._restore()

    def run(
        self,
        trainer: Trainer,
        *,
        num_trials: int,
        on_trial: OnTrial = lambda trained: None,
        on_epoch: OnEpoch = lambda ended: None,
        resume: Resume = nothing_kept,
        on_wait: OnWait = lambda: None,
    ) -> Sequence[TrialResult]:
        """Go on until `num_trials` trials have ended, those of earlier runs included.

        Args:
            trainer: trains the trials.
            num_trials: completed, pruned, diverged and failed ones all count.
            on_trial: told of each trial before it is kept; what it raises ends the run.
            on_epoch: told of each epoch that ended; what it raises, such as StopTraining, ends the run.
            resume: gives what `on_epoch` kept of a trial, by its number, if anything; it goes on from there.
            on_wait: not called: nothing is waited for.

        Returns:
            The results of all trials that have ended, in the order of their numbers; fewer than `num_trials` where all
            of the space has been tried.
        """
        from keras_tuner.errors import FatalError

        trainer.check_space(self.space)
        self._restore()
        self._runner = TrialRunner(trainer, self._prunes, on_trial, on_epoch, resume)
        self.tuner.oracle.max_trials = num_trials
        try:
            self.tuner.search()
        except FatalError as error:
            raise (error.__cause__ or error) from None
        return self.results()

    def results(self) -> Sequence[TrialResult]:
        """Return the trials that have ended, in the order of their numbers."""
        return [result for _, result in self._kept()]

    def _train(self, trial: Any) -> float:
        """Train the trial that KerasTuner proposes; return the score that it is told."""
        from keras_tuner.errors import FailedTrialError, FatalError

        assert self._runner is not None, "KerasTuner asks for training inside `run`"
        try:
            config = self.space.suggest(trial.hyperparameters)
            result = self._runner.run(config, self._results, number=len(self._results)).result
            file = self._folder / f"trial_{trial.trial_id}" / RESULT_FILE
            write_text(file, json.dumps(result.as_dict(), allow_nan=False))
        except Exception as error:  # the caller's, or a full disk: KerasTuner would take it for a trial that failed
            raise FatalError(str(error)) from error
        score = self._told(result, self._results)
        self._results.append(result)
        if result.state is TrialState.FAILED:
            raise FailedTrialError(result.error)
        return score

    def _told(self, result: TrialResult, others: Sequence[TrialResult]) -> float:
        return told_score(result, others) + excess_gap(result, self._max_gap)

    def _restore(self) -> None:
        """Give the oracle the trials that have ended, in place of what KerasTuner's own files say."""
        for file in self._folder.glob("trial_*/trial.json"):
            if not file.with_name(RESULT_FILE).exists():  # the trial that was running when a process died
                file.unlink()
        kept = self._kept()
        results = [result for _, result in kept]
        self.tuner.oracle.restore(kept, lambda index: self._told(results[index], results[:index]))
        self.tuner.save()
        self._results = results

    def _kept(self) -> list[tuple[str, TrialResult]]:
        """Return KerasTuner's id and the result of each trial that has ended, in the order of their numbers."""
        kept = [
            (file.parent.name.removeprefix("trial_"), TrialResult.from_dict(json.loads(file.read_text("utf-8"))))
            for file in self._folder.glob(f"trial_*/{RESULT_FILE}")
        ]
        return sorted(kept, key=lambda pair: pair[1].number)

    def _claim(self, told: Sequence[Told]) -> Sequence[Told]:
        """Make the folder this study's own, or refuse it; return what the study was told when it was made."""
        file = self._folder / STUDY_FILE
        if file.exists():
            kept = json.loads(file.read_text("utf-8"))
            self.space.check_kept(kept, f"The study in {self._folder}")
            return [(values, score) for values, score in kept.get(KNOWN, ())]
        if self._folder.exists() and not all(is_leftover(found.name) for found in self._folder.iterdir()):
            raise ForeignStudy(f"{self._folder} must be empty or hold a study of lrrt, but it holds something else.")
        write_text(file, json.dumps({**self.space.as_dict(), KNOWN: told}, indent=2))
        return told

    def _make_tuner(self, sampler: str, seed: int) -> Any:
        from studies.engines.keras_tuner_oracles import ORACLES
        from studies.keras_tuner_tuner import StudyTuner

        oracle = ORACLES[sampler](self.space, seed=seed)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints where it reloads from
            return StudyTuner(oracle, self._train, directory=str(self._folder.parent), name=self._folder.name)
