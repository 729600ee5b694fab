"""Knows Optuna's samplers: which there are, what each needs, and what one proposes after given trials."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from studies.dimension import Dimension, Value
from studies.space.suggesting import ask_optuna

if TYPE_CHECKING:
    import optuna

SAMPLERS = ("tpe", "random", "qmc", "gp", "cmaes")
NUM_RANDOM = 4  # trials that TPE draws at random after the suggested ones; the bounds are narrow already
NEEDED = {"gp": "torch", "cmaes": "cmaes"}  # packages that Optuna leaves to its users


def check_sampler(name: str) -> None:
    """Refuse a sampler that cannot be made.

    Raises:
        ValueError: for an unknown one.
        ImportError: where a package that it needs is not installed.
    """
    if name not in SAMPLERS:
        raise ValueError(f"`sampler` must be one of {', '.join(SAMPLERS)}, got {name!r}.")
    package = NEEDED.get(name)
    if package and importlib.util.find_spec(package) is None:
        raise ImportError(
            f"Sampler {name!r} needs the package {package}, which is not installed: pip install {package}."
        )


def make_sampler(name: str, seed: int, first: int, *, num_suggested: int = 0) -> optuna.samplers.BaseSampler:
    """Make a sampler for a worker whose first trial has the number `first`, after trials that were suggested.

    Its seed depends on that too: a run that goes on must not repeat the choices of the first one, nor one worker those
    of another. A quasi-random sequence is the study's, its place in it is kept by Optuna, so it alone has the study's
    own seed.
    """
    import optuna
    from optuna import samplers

    check_sampler(name)
    fresh = int(np.random.default_rng([seed, first]).integers(2**31))
    random = samplers.RandomSampler(seed=fresh)
    # That a part of Optuna may change one day tells our users nothing that they could act on.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match name:
            case "random":
                return random
            case "qmc":
                return samplers.QMCSampler(
                    scramble=True, seed=seed, independent_sampler=random, warn_independent_sampling=False
                )
            case "gp":
                return samplers.GPSampler(seed=fresh, independent_sampler=random)
            case "cmaes":
                return samplers.CmaEsSampler(seed=fresh, independent_sampler=random, warn_independent_sampling=False)
        # Rates and parameters of schedules depend on choices, so the sampler must know them in groups.
        return samplers.TPESampler(
            seed=fresh, multivariate=True, group=True, n_startup_trials=num_suggested + NUM_RANDOM
        )


def propose(
    dimensions: Sequence[Dimension],
    told: Iterable[tuple[Mapping[str, Value], float]],
    *,
    seed: int,
    num_suggested: int = 0,
) -> dict[str, Value]:
    """Return what Optuna's TPE proposes after trials that were told, without a study that is kept.

    Args:
        dimensions: of the search space.
        told: the active values of each trial, and the finite number it is told with.
        seed: what the choice comes from, together with the number of trials told.
        num_suggested: how many of them were not drawn.
    """
    import optuna

    trials = [
        optuna.trial.create_trial(
            params=dict(values),
            distributions={dim.name: distribution(dim) for dim in dimensions if dim.name in values},
            value=score,
        )
        for values, score in told
    ]
    with quiet_optuna():
        study = optuna.create_study(sampler=make_sampler("tpe", seed, len(trials), num_suggested=num_suggested))
    study.add_trials(trials)
    return ask_optuna(study.ask(), dimensions)


def distribution(dimension: Dimension) -> optuna.distributions.BaseDistribution:
    """Return a dimension as Optuna knows it."""
    from optuna import distributions

    low, high = dimension.low, dimension.high
    if dimension.choices:
        return distributions.CategoricalDistribution(dimension.choices)
    if dimension.integer:
        return distributions.IntDistribution(int(low), int(high), log=dimension.log, step=int(dimension.step or 1))
    return distributions.FloatDistribution(low, high, log=dimension.log, step=dimension.step)


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna from printing that it made a study; the caller's setting is put back."""
    import optuna

    found = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(found)
