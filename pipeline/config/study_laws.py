"""Check that each key of a study fits the keys before it, and what is installed.

Each law takes the value of a key, and with it the values of the keys before that held their own law; it returns the
value, or raises a ValueError with the law and the remedy.
"""

import importlib.util

from pydantic_core.core_schema import ValidationInfo

from pipeline.config.number_values import MAX_COUNT
from pipeline.config.values import listed
from studies.engines.arms import ARMS
from studies.engines.keras_tuner_engine import SAMPLERS as KERAS_TUNER_SAMPLERS
from studies.engines.keras_tuner_engine import check_sampler as check_keras_tuner_sampler
from studies.engines.optuna_samplers import SAMPLERS as OPTUNA_SAMPLERS
from studies.engines.optuna_samplers import check_sampler as check_optuna_sampler
from studies.judging.halving import HYPERBAND
from studies.objective import OF_TRIALS, TRAIN_LOSS, VAL_LOSS
from studies.schedules.families import FAMILIES

SAMPLERS_OF = {"optuna": (*OPTUNA_SAMPLERS, ARMS), "keras_tuner": (*KERAS_TUNER_SAMPLERS, ARMS)}
SAMPLERS = tuple(dict.fromkeys((*SAMPLERS_OF["optuna"], *SAMPLERS_OF["keras_tuner"])))


def fits_the_objective(direction: str | tuple[str, ...], info: ValidationInfo) -> str | tuple[str, ...]:
    """Refuse to maximise a loss or a cost, and a list of directions that is not one for each objective."""
    objective = info.data.get("objective", "")
    objectives = (objective,) if isinstance(objective, str) else objective
    directions = (direction,) if isinstance(direction, str) else direction
    if not isinstance(direction, str) and len(directions) != len(objectives):
        raise ValueError(
            f"must have one for each of {len(objectives)} objectives, got a list of {len(directions)}; a loss or a "
            'metric that Keras knows needs only "auto".'
        )
    for one, way in zip(objectives, directions, strict=False):
        if way == "max" and one in (TRAIN_LOSS, VAL_LOSS.name):
            raise ValueError(f'must be "min" or "auto" for a loss, got "max" with objective = "{one}".')
        if way == "max" and one in OF_TRIALS:
            raise ValueError(f'must be "min" or "auto" for "{one}", got "max".')
    return direction


def is_of_a_schedule(searches_warmup: bool, info: ValidationInfo) -> bool:
    """Refuse to search a warm-up if no schedule has one."""
    schedules = info.data.get("schedules", ())
    if searches_warmup and schedules and not any(FAMILIES[name].can_warm_up for name in schedules):
        able = listed(tuple(name for name, family in FAMILIES.items() if family.can_warm_up))
        raise ValueError(f"must come with a schedule that can warm up: one of {able}, got {listed(schedules)}.")
    return searches_warmup


def belongs_to_engine(sampler: str, info: ValidationInfo) -> str:
    """Refuse a sampler that the engine does not have, or that needs a package which is not installed."""
    engine = info.data.get("engine")
    known = SAMPLERS_OF.get(str(engine), SAMPLERS)  # an engine that broke its law is reported separately
    if sampler not in known:
        others = [f'"{name}"' for name, samplers in SAMPLERS_OF.items() if sampler in samplers]
        raise ValueError(f'must be one of {listed(known)} with engine "{engine}", got {sampler!r} of {others[0]}.')
    if sampler == ARMS:
        return sampler
    objective = info.data.get("objective", "")
    check = check_keras_tuner_sampler if engine == "keras_tuner" else check_optuna_sampler
    try:
        check(sampler, num_objectives=1 if isinstance(objective, str) else len(objective))
    except (ImportError, ValueError) as error:
        raise ValueError(str(error).removeprefix("`sampler` ")) from None
    return sampler


def has_walls(widen: bool, info: ValidationInfo) -> bool:
    """Refuse to widen bounds that are no limits."""
    if widen and info.data.get("sampler") == ARMS:
        raise ValueError(f'must be false with sampler = "{ARMS}", whose rates may lie beyond the bounds, got true.')
    return widen


def is_installed(tensorboard: bool) -> bool:
    """Refuse logs for TensorBoard if its package is not installed."""
    if tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ValueError("true needs the package tensorboard, which is not installed: pip install 'lrrt[tensorboard]'.")
    return tensorboard


def are_trials(top: int, info: ValidationInfo) -> int:
    """Refuse more of the best trials than there are trials."""
    num_trials = info.data.get("num_trials", MAX_COUNT)
    if top > num_trials:
        raise ValueError(f"`{info.field_name} <= num_trials` must hold, got {top!r} of {num_trials!r} trials.")
    return top


def have_trials(folds: int, info: ValidationInfo) -> int:
    """Refuse folds if no trial is trained on them."""
    if folds and info.data.get("top_retrained") == 0:
        raise ValueError(f"must come with `top_retrained >= 1`, the trials that are trained on folds, got {folds}.")
    return folds


def is_not_halved(score_folds: int, info: ValidationInfo) -> int:
    """Refuse successive halving of trials on folds, which pause at no epoch."""
    if score_folds and info.data.get("prunes") == HYPERBAND:
        raise ValueError(
            f'must be 0 with prunes = "{HYPERBAND}", got {score_folds}. A trial on folds is cut after folds that are '
            "clearly worse, whatever `prunes` is; leave one of the two out."
        )
    return score_folds


def have_folds(is_of_folds: bool, info: ValidationInfo) -> bool:
    """Refuse what says how folds are cut if there are none."""
    if is_of_folds and info.data.get("folds") == info.data.get("score_folds") == 0:
        raise ValueError("must come with `folds >= 2` or `score_folds >= 2`, got folds=0, score_folds=0.")
    return is_of_folds
