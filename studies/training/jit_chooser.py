"""Choose once for each kind of trial whether XLA trains it: for each model, optimizer and batch size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from lrrt.jit_choice import LEAST_STEPS, Jit, check_jit, choose
from lrrt.training_loop import TrainingLoop
from lrrt.variables import Values
from studies.space.search_space import SearchSpace
from studies.trial_config import TrialConfig


class Choices(Protocol):
    """Choices by kind of trial; a dict is one, and what stores them with a study."""

    def get(self, kind: str, /) -> bool | None:
        """Return a choice; None if there is none."""

    def setdefault(self, kind: str, uses_xla: bool, /) -> bool:
        """Store a choice unless there is one; return the one that holds."""


class JitChooser:
    """Chooses whether XLA trains trials.

    A model with hyperparameters of its own is a kind of its own, which is planned for one trial.

    Args:
        jit: True, False, or "auto", which measures a few steps before the first trial of a kind.
        note: called with a sentence for the user.

    Raises:
        ValueError: if `jit` is none of these.
    """

    def __init__(self, jit: Jit, note: Callable[[str], None]) -> None:
        check_jit(jit)
        self.jit, self._note = jit, note
        self._known: dict[str, bool] = {}
        self._stored: Choices = dict[str, bool]()
        self._trials_a_kind = 1

    def share(self, stored: Choices, space: SearchSpace, num_trials: int) -> None:
        """Take the choices of a study, and leave new ones there for its other workers and for later runs.

        Args:
            stored: the choices of the study.
            space: of its trials.
            num_trials: its budget.
        """
        self._stored = stored
        self._known = {kind: stored.setdefault(kind, uses_xla) for kind, uses_xla in self._known.items()}
        self._trials_a_kind = trials_a_kind(num_trials, len(space.optimizers), len(space.batch_sizes))

    def uses_xla(self, config: TrialConfig, loop: TrainingLoop, weights: Values, num_steps: int) -> bool:
        """Say whether XLA trains a trial of so many steps.

        Args:
            config: the trial's values.
            loop: its loop, which can run in a graph.
            weights: all variables of the model, to measure with.
            num_steps: of the whole trial.
        """
        planned_steps = num_steps * (1 if config.own else self._trials_a_kind)
        if self.jit != "auto" or loop.xla.obstacle or (config.own and planned_steps < LEAST_STEPS):
            return self._chosen(self.jit, config, loop, weights, planned_steps)
        kind = _kind(config)
        if kind not in self._known:
            stored = self._stored.get(kind)
            if stored is None:
                stored = self._stored.setdefault(kind, self._chosen("auto", config, loop, weights, planned_steps))
            self._known[kind] = stored
        return self._chosen(self._known[kind], config, loop, weights, planned_steps)

    def _chosen(self, jit: Jit, config: TrialConfig, loop: TrainingLoop, weights: Values, planned_steps: int) -> bool:
        choice = choose(loop, jit, weights, planned_steps)
        if choice.reason:
            self._note(f"{_kind(config)}: {choice.reason}")
        return choice.uses_xla


def trials_a_kind(num_trials: int, num_optimizers: int, num_batch_sizes: int) -> int:
    """Return how many trials of each kind are planned: as many of every kind."""
    return -(-num_trials // (num_optimizers * num_batch_sizes))


def _kind(config: TrialConfig) -> str:
    of_model = (f"{name}={value}" for name, value in config.own)
    return ", ".join([config.optimizer_name, f"batch_size={config.batch_size}", *of_model])
