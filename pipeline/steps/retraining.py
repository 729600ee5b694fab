"""Train trials of a stage again: the best few, to say which of them wins, and one whose weights are not stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pipeline.config.number_values import MAX_SEED
from pipeline.config.tables import StageConfig
from pipeline.data.folds import fold_names
from pipeline.failures import CorruptState, TaskError
from pipeline.run import AGAIN, Run
from pipeline.state.stored import drop_checkpoint, read_weights
from pipeline.steps.watching import StageWatcher
from pipeline.task.preparation import Prepared
from pipeline.task.trainers import Scorer
from studies import FurtherTrainings, NoSuchStudy, Retrained, Round, Trainer, TrialResult, best_of, ranked
from studies.sharing.shared_work import work_off
from studies.work.attempt import attempt

if TYPE_CHECKING:
    from lrrt.variables import Values


def train_again(run: Run, prepared: Prepared, scorer: Scorer, results: Sequence[TrialResult]) -> tuple[Retrained, ...]:
    """Train the best few trials again, or what is left of that; return them, the best mean first."""
    trials, rounds = _top(run.config, results), list(_rounds(run, prepared, scorer))
    if not trials or not rounds:
        return ()
    job = FurtherTrainings(trials, rounds, StageWatcher(run))
    with run.stopper.deferred():
        run.stopper.check()
        table = work_off(run.board(AGAIN, objective=scorer.objective), job, run.retry)
    return job.retrained(table, max_gap=run.config.study.max_gap)


def stored_retrained(run: Run, results: Sequence[TrialResult]) -> tuple[Retrained, ...]:
    """Return the best few trials with the further trainings that are stored of them, the best mean first."""
    trials = _top(run.config, results)
    names = [*((name, False) for name in _seeds(run.config)), *((name, True) for name in fold_names(run.config))]
    if not trials:
        return ()
    try:
        board = run.board(AGAIN, creates=False)
    except NoSuchStudy:
        return ()
    job = FurtherTrainings(trials, [Round(name, _no_trainer, is_fold) for name, is_fold in names], StageWatcher(run))
    return job.retrained(run.retry(board.table), max_gap=run.config.study.max_gap)


def winner_of(
    config: StageConfig, results: Sequence[TrialResult], retrained: Sequence[Retrained]
) -> TrialResult | None:
    """Return the trial that wins: of the best mean, or, if that is asked for or there is none, the best alone."""
    if config.study.rank_by == "mean" and retrained and retrained[0].mean_score is not None:
        return retrained[0].trial
    return best_of(results, max_gap=config.study.max_gap)


def weights_of(run: Run, trainer: Trainer, trial: TrialResult) -> Values:
    """Return the weights of a completed trial.

    Args:
        run: the run of the trial. It may be stopped at the end of an epoch, and goes on from there.
        trainer: the trainer of the run's trials.
        trial: the trial.

    Raises:
        TaskError: if the trial is trained again and fails.
    """
    try:
        stored = read_weights(run.directory, trial)
    except CorruptState as error:
        run.note(str(error))
        stored = None
    if stored is not None:
        return stored
    run.note(f"the weights of trial {trial.number} are not stored, so it is trained again from its config and the seed")
    key = f"trial {trial.number} again"
    with run.stopper.deferred():
        run.stopper.check()
        again = attempt(
            trainer, trial.config, number=trial.number, key=key, watcher=StageWatcher(run), check=lambda is_last: None
        )
    drop_checkpoint(run.directory, key)
    if again.best_weights is None:
        reason = again.result.error or again.result.state.value
        raise TaskError(f"Trial {trial.number} must train again as it did before, but: {reason}.")
    return again.best_weights


def _top(config: StageConfig, results: Sequence[TrialResult]) -> list[TrialResult]:
    return ranked(results, max_gap=config.study.max_gap)[: config.study.top_retrained]


def _rounds(run: Run, prepared: Prepared, scorer: Scorer) -> Iterator[Round]:
    for name, seed in _seeds(run.config).items():
        yield Round(name, partial(scorer.with_seed, seed))
    for name, make in prepared.fold_trainers(run.config, StageWatcher(run).on_note):
        yield Round(name, make, is_fold=True, prunes=bool(run.config.study.prunes))


def _seeds(config: StageConfig) -> dict[str, int]:
    """Return the fresh seeds, which are not the study's, by the name of the training on each."""
    seeds = ((config.study.seed + number) % (MAX_SEED + 1) for number in range(1, config.study.retrain_seeds + 1))
    return {f"seed {seed}": seed for seed in seeds}


def _no_trainer() -> Trainer:
    raise AssertionError("results are read without a training")
