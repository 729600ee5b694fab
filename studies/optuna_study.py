"""Knows how Optuna proposes the trials of a study and remembers them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from studies.space import SearchSpace
from studies.study import told_score
from studies.trainer import Trained, Trainer
from studies.trial import TrialConfig, TrialResult, TrialState

if TYPE_CHECKING:
    import optuna

RESULT = "result"  # the trial attribute that holds a TrialResult
SAMPLERS = ("tpe", "random")


class OptunaStudy:
    """A study whose trials Optuna proposes, kept in an Optuna storage and resumable from it.

    The first trials are what the range tests suggest. A diverged trial is told as a finite penalty; a trial that
    raises is told as failed, and the study goes on.

    Args:
        space: what is searched.
        storage: a URL such as `sqlite:///study.db`; None keeps the study in memory.
        name: the study's name in its storage.
        sampler: "tpe" or "random".
        seed: what the sampler's choices come from.

    Raises:
        ValueError: for an unknown sampler.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        storage: str | None = None,
        name: str = "lrrt",
        sampler: str = "tpe",
        seed: int = 0,
    ) -> None:
        if sampler not in SAMPLERS:
            raise ValueError(f"`sampler` must be one of {', '.join(SAMPLERS)}, got {sampler!r}.")
        self.space = space
        self._sampler, self._seed = sampler, seed
        with _quiet():
            self.study = _open(name, storage)
        if not self.study.get_trials(deepcopy=False):
            for parameters in space.suggested_parameters():
                self.study.enqueue_trial(parameters)

    def run(
        self, trainer: Trainer, *, num_trials: int, on_trial: Callable[[Trained], None] = lambda trained: None
    ) -> Sequence[TrialResult]:
        """Go on until `num_trials` trials have ended, those of earlier runs included.

        Args:
            trainer: trains the trials.
            num_trials: completed, diverged and failed ones all count.
            on_trial: told of each trial before the storage is; what it raises ends the run.

        Returns:
            The results of all trials that have ended, in the order of their numbers.
        """
        self._put_back_interrupted()
        results = list(self.results())
        self.study.sampler = self._make_sampler(len(results))
        while len(results) < num_trials:
            trial = self.study.ask()
            trained = _train(trainer, self.space.suggest(trial), len(results))
            on_trial(trained)
            trial.set_user_attr(RESULT, trained.result.as_dict())
            self._tell(trial, trained.result, results)
            results.append(trained.result)
        return results

    def results(self) -> Sequence[TrialResult]:
        """Return the trials that have ended, in the order of their numbers."""
        kept = [
            trial.user_attrs[RESULT]
            for trial in self.study.get_trials(deepcopy=False)
            if trial.state.is_finished() and RESULT in trial.user_attrs
        ]
        return sorted((TrialResult.from_dict(result) for result in kept), key=lambda result: result.number)

    def _tell(self, trial: optuna.Trial | int, result: TrialResult, others: Sequence[TrialResult]) -> None:
        from optuna.trial import TrialState as OptunaState

        if result.state is TrialState.FAILED:
            self.study.tell(trial, state=OptunaState.FAIL)
        else:
            self.study.tell(trial, told_score(result, others))

    def _put_back_interrupted(self) -> None:
        """Clear up after a killed process: tell what had ended, ask again for the values of what had not."""
        from optuna.trial import TrialState as OptunaState

        for trial in self.study.get_trials(deepcopy=False, states=(OptunaState.RUNNING,)):
            if RESULT in trial.user_attrs:
                self._tell(trial.number, TrialResult.from_dict(trial.user_attrs[RESULT]), self.results())
            else:
                self.study.tell(trial.number, state=OptunaState.FAIL)
                self.study.enqueue_trial(trial.params)

    def _make_sampler(self, num_done: int) -> optuna.samplers.BaseSampler:
        """Seed the sampler by what is done too: a run that goes on must not repeat the first one's choices."""
        import optuna

        seed = int(np.random.default_rng([self._seed, num_done]).integers(2**31))
        if self._sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        # Rates and parameters of schedules depend on choices, so the sampler must know them in groups. Its warning
        # that `group` may change one day tells our users nothing that they could act on.
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)


def _train(trainer: Trainer, config: TrialConfig, number: int) -> Trained:
    """Train a trial; an error of the user's model ends this trial, not the study."""
    try:
        return trainer.train(config, number=number)
    except Exception as error:  # the model is the user's code, which may raise anything in some region of the space
        message = f"{type(error).__name__}: {error}"
        return Trained(TrialResult(number, config, TrialState.FAILED, error=message), None)


def _open(name: str, storage: str | None) -> optuna.Study:
    import optuna

    kept = None if storage is None else _storage(storage)
    return optuna.create_study(study_name=name, storage=kept, direction="minimize", load_if_exists=True)


def _storage(url: str) -> optuna.storages.BaseStorage:
    """Open a storage; SQLite keeps a write-ahead log, which a killed process cannot tear and which is 3 times faster."""
    import optuna
    import sqlalchemy

    engine_kwargs: dict[str, Any] = {} if url.startswith("sqlite") else {"pool_pre_ping": True}
    storage = optuna.storages.RDBStorage(url, engine_kwargs=engine_kwargs)
    if url.startswith("sqlite"):

        @sqlalchemy.event.listens_for(storage.engine, "connect")
        def set_pragmas(connection: Any, _: Any) -> None:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")

        storage.engine.dispose()
    return storage


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from printing that it made a study; the caller's setting is put back."""
    import optuna

    found = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(found)
