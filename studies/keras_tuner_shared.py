"""Knows how KerasTuner proposes the trials of a study that many processes share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from studies.claimed_trials import Propose
from studies.dimension import Value
from studies.optuna_study import OptunaStudy
from studies.space.search_space import SearchSpace
from studies.study import Told, excess_gap, told_score
from studies.trial import TrialResult


def shared_keras_tuner_study(
    space: SearchSpace, *, sampler: str = "random", seed: int = 0, max_gap: float | None = None, **options: Any
) -> OptunaStudy:
    """Open a study in which KerasTuner's oracle proposes and the slots of an Optuna study hold the budget.

    An oracle's proposal follows from the seed, the number of the trial and the trials that have ended, so whoever
    claims a slot can ask one of its own. KerasTuner's chief and workers are not used: a worker that is killed leaves
    its trial running for ever, and the chief waits for it without end; where the chief is killed its workers wait for
    up to an hour; and neither has a heartbeat, a slot or a storage that outlives a process.

    Args:
        space: what is searched.
        sampler: "random", "bayesian" or "grid", which are KerasTuner's, or "tpe".
        seed: what the oracle's choices come from.
        max_gap: the largest generalisation gap; what is beyond is added to the score that the oracle is told.
        options: all others of `OptunaStudy`.
    """
    return OptunaStudy(space, propose=_proposer(space, sampler, seed, max_gap), seed=seed, max_gap=max_gap, **options)


def _proposer(space: SearchSpace, sampler: str, seed: int, max_gap: float | None) -> Propose:
    from studies.engines.keras_tuner_oracles import ORACLES

    if sampler not in ORACLES:
        raise ValueError(f"`sampler` must be one of {', '.join(ORACLES)}, got {sampler!r}.")
    oracle = ORACLES[sampler](space, seed=seed)

    def propose(
        number: int, results: Sequence[TrialResult], running: Sequence[dict[str, Value]], known: Sequence[Told]
    ) -> dict[str, Value] | None:
        def told(index: int) -> float:
            return told_score(results[index], results[:index]) + excess_gap(results[index], max_gap)

        oracle.known = known
        oracle.recall([(str(result.number), result) for result in results], told)
        oracle.remember_running(running)
        return oracle.values_of(number)

    return propose
