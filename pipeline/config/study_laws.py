"""Check keys of a study that must fit each other."""

import importlib.util

from pipeline.config.values import listed
from studies.engines.keras_tuner_engine import SAMPLERS as KERAS_TUNER_SAMPLERS
from studies.engines.optuna_samplers import SAMPLERS as OPTUNA_SAMPLERS
from studies.engines.optuna_samplers import check_sampler

SAMPLERS = tuple(dict.fromkeys((*OPTUNA_SAMPLERS, *KERAS_TUNER_SAMPLERS)))
SAMPLERS_OF = {"optuna": OPTUNA_SAMPLERS, "keras_tuner": KERAS_TUNER_SAMPLERS}


def sampler_law(engine: object, sampler: str) -> None:
    """Refuse a sampler that the engine does not have, or that needs a package which is not installed.

    Raises:
        ValueError: with the samplers of the engine.
    """
    known = SAMPLERS_OF.get(str(engine), SAMPLERS)  # an engine that broke its law is reported separately
    if sampler not in known:
        others = [f'"{name}"' for name, samplers in SAMPLERS_OF.items() if sampler in samplers]
        raise ValueError(f'must be one of {listed(known)} with engine "{engine}", got {sampler!r} of {others[0]}.')
    if engine == "optuna":
        try:
            check_sampler(sampler)
        except ImportError as error:
            raise ValueError(str(error)) from None


def tensorboard_law(is_wanted: bool) -> None:
    """Refuse logs for TensorBoard if its package is not installed.

    Raises:
        ValueError: with the remedy.
    """
    if is_wanted and importlib.util.find_spec("tensorboard") is None:
        raise ValueError("true needs the package tensorboard, which is not installed: pip install 'lrrt[tensorboard]'.")
