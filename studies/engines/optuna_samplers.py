"""Name and make Optuna's samplers, and its distributions."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from studies.dimension import Dimension
from studies.engines.sampler_names import check_name

if TYPE_CHECKING:
    import optuna

SAMPLERS = ("tpe", "random", "qmc", "gp", "cmaes")
NUM_RANDOM = 4  # trials that TPE draws at random after the suggested ones; the bounds are narrow already
SINGLE = ("cmaes",)  # samplers that know one objective only
NEEDED = {"gp": "torch", "cmaes": "cmaes"}  # packages that Optuna does not install


def check_sampler(name: str, *, num_objectives: int = 1) -> None:
    """Refuse a sampler that cannot be made.

    Raises:
        ValueError: for an unknown sampler, or one that knows one objective only, if there are several.
        ImportError: if a package that it needs is not installed.
    """
    check_name(name, SAMPLERS, SINGLE, num_objectives)
    package = NEEDED.get(name)
    if package and importlib.util.find_spec(package) is None:
        raise ImportError(
            f"Sampler {name!r} needs the package {package}, which is not installed: pip install {package}."
        )


def make_sampler(name: str, seed: int, *, num_suggested: int = 0) -> optuna.samplers.BaseSampler:
    """Make one of Optuna's samplers, for a study with `num_suggested` trials that it did not choose."""
    import optuna
    from optuna import samplers

    random = samplers.RandomSampler(seed=seed)
    # Users cannot act on a warning that a part of Optuna may change one day.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match name:
            case "random":
                return random
            case "gp":
                return samplers.GPSampler(seed=seed, independent_sampler=random)
            case "cmaes":
                return samplers.CmaEsSampler(seed=seed, independent_sampler=random, warn_independent_sampling=False)
        # Rates and parameters of schedules depend on choices, so the sampler models them in groups.
        return samplers.TPESampler(
            seed=seed, multivariate=True, group=True, n_startup_trials=num_suggested + NUM_RANDOM
        )


def distribution(dimension: Dimension) -> optuna.distributions.BaseDistribution:
    """Return a dimension as Optuna's distribution."""
    from optuna import distributions

    low, high = dimension.low, dimension.high
    if dimension.choices:
        return distributions.CategoricalDistribution(dimension.choices)
    if dimension.integer:
        return distributions.IntDistribution(int(low), int(high), log=dimension.log, step=int(dimension.step or 1))
    return distributions.FloatDistribution(low, high, log=dimension.log, step=dimension.step)


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Stop Optuna's message that it made a study while the block runs; then restore the caller's setting."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)
