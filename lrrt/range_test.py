"""Run the whole learning-rate range test: model, data and optimizers in, bounds for each optimizer out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from lrrt.batches import Data
from lrrt.bounds import Bounds
from lrrt.confirmation import check_confirmation, confirm
from lrrt.constant_answer import constant_answer
from lrrt.curve import RangeCurve
from lrrt.factors import averaging_steps_of, kind_of
from lrrt.initial_weights import ALIKE
from lrrt.jit_choice import Jit, check_jit, choose
from lrrt.judging import find_bounds
from lrrt.loops import Loops
from lrrt.models import ModelSource
from lrrt.monitor import LOSS
from lrrt.ramp import Ramp
from lrrt.range_result import Case, RangeTestResult
from lrrt.recording import record_curves
from lrrt.watcher import Watcher

if TYPE_CHECKING:
    import keras

LABELS_READ = 2048  # of random samples, for the loss of a constant answer
DEFAULT_OPTIMIZERS = ("sgd", "adam")


def range_test(
    build_model: ModelSource,
    data: Data,
    *,
    optimizers: Iterable[str | keras.Optimizer] | Mapping[str, str | keras.Optimizer] = DEFAULT_OPTIMIZERS,
    ramp: Ramp | None = None,
    batch_size: int = 32,
    batch_sizes: Sequence[int] | None = None,
    repeats: int = 3,
    seed: int = 0,
    training_steps: int | None = None,
    validation_data: Data | None = None,
    class_weight: Mapping[int, float] | None = None,
    hyperparameters: Sequence[Mapping[str, Any]] = (),
    monitor: str = "loss",
    monitor_mode: str = "auto",
    confirm_steps: int = 0,
    jit: Jit = False,
    watcher: Watcher | None = None,
) -> RangeTestResult:
    """Find, for each optimizer, the bounds inside which its learning rate is worth searching.

    Each repeat trains from its own initial weights, on its own order of the data, with a fresh optimizer, while the
    rate climbs until the loss has risen above its starting level. There are further repeats only while the bounds are
    in doubt. A compiled model that is passed in starts each repeat from its own weights, and is left exactly as it was
    found, also after an exception. A model that cannot run in a graph is trained through `model.fit`, many times
    slower, and the watcher is called with the reason.

    Args:
        build_model: returns a compiled model, or is one; see `Loops`.
        data: what is trained on; see `Loops`. It is cycled, shuffled anew, if it has fewer batches than steps.
        optimizers: names, Keras optimizers, or {label: either}.
        ramp: the rates that are tried; by default 100 steps from 1e-7 to 10. One over eight decades or more begins two
            decades later, unless that leaves a doubt.
        batch_size: samples a batch.
        batch_sizes: several of them, to be compared.
        repeats: the most curves that each optimizer's bounds are the median of; one if that shows them without doubt.
        seed: repeat number i draws its weights and its order of the data from `seed + i`.
        training_steps: updates of the training to come, all epochs together: the longer it is, the lower its good rates
            lie. None for some five times as many as a ramp over eight decades has steps: 500 by default.
        validation_data: what a monitor of validation data and a confirmation are judged on.
        class_weight: the weight of each class's samples, for labels that are class numbers or one-hot.
        hyperparameters: several models to be compared, each as values for a `build(hp)`.
        monitor: what is watched: "loss", a compiled metric, or either with "val_" before it, which is measured on 256
            samples of the validation data at every fifth step.
        monitor_mode: "min", "max", or "auto" if Keras knows the metric's direction.
        confirm_steps: so many training steps at each of a few constant rates inside the bounds, to sharpen them.
        jit: whether XLA trains; "auto" if that pays, see `lrrt.jit_choice`. Ramps are short, so that it seldom does.
        watcher: is called when something happens.

    Returns:
        Curves and bounds by label. The label is the optimizer's, followed by the batch size and the hyperparameters
        if there are several: "adam, batch_size=128, units=64".

    Raises:
        TypeError, ValueError: for each argument out of its domain, naming what was received.
    """
    if batch_sizes is not None and not isinstance(batch_sizes, Sequence):
        raise TypeError(f"`batch_sizes` must be several sizes, as [32, 128], got {batch_sizes!r:.80}.")
    if not all(isinstance(values, Mapping) for values in hyperparameters):
        raise TypeError(
            f"`hyperparameters` must be several models' values, as [{{..}}, {{..}}], got {hyperparameters!r:.80}."
        )
    first, *others = hyperparameters or [{}]
    loops = Loops(
        build_model,
        data,
        optimizers=optimizers,
        batch_size=batch_size if not batch_sizes else batch_sizes[0],
        validation_data=validation_data,
        class_weight=class_weight,
        hyperparameters=first,
        monitor=monitor,
        monitor_mode=monitor_mode,
    )
    more = (loops.like(hyperparameters=values, monitor=monitor, monitor_mode=monitor_mode) for values in others)
    tests = [
        _test_model(
            one,
            has_others=bool(others),
            ramp=Ramp() if ramp is None else ramp,
            repeats=repeats,
            seed=seed,
            training_steps=training_steps,
            batch_sizes=batch_sizes,
            confirm_steps=confirm_steps,
            jit=jit,
            watcher=watcher,
        )
        for one in chain([loops], more)
    ]
    return RangeTestResult.joined(tests)


def run_range_test(
    loops: Loops,
    ramp: Ramp,
    *,
    optimizers: Sequence[str] | None = None,
    repeats: int = 3,
    seed: int = 0,
    training_steps: int | None = None,
    training_epochs: int | None = None,
    batch_sizes: Sequence[int] | None = None,
    confirm_steps: int = 0,
    hyperparameters: Mapping[str, Any] | None = None,
    jit: Jit = False,
    watcher: Watcher | None = None,
) -> RangeTestResult:
    """Test the rates of each of the loops' optimizers, at each batch size.

    Args:
        loops: the task.
        ramp: the rates that are tried.
        optimizers: which of the loops' optimizers; all if there are none.
        repeats: the most curves of each case.
        seed: repeat number i draws its weights and its order of the data from `seed + i`.
        training_steps: updates of the training to come; see `range_test`.
        training_epochs: the same in epochs, so that each batch size has the updates of its own training.
        batch_sizes: samples a batch; the loops' own if there are none.
        confirm_steps: training steps at each of a few constant rates inside the bounds, to sharpen them.
        hyperparameters: what tells the loops' model from others; added to the labels.
        jit: whether XLA trains; see `range_test`.
        watcher: is called when something happens.

    Raises:
        ValueError: for a number of repeats, steps or epochs that is no count, or a training given in both.
    """
    if not isinstance(ramp, Ramp):
        raise TypeError(f"`ramp` must be an lrrt.Ramp, got {type(ramp).__name__}: {ramp!r:.80}.")
    _check_count("repeats", repeats, least=1)
    _check_count("seed", seed, least=0)
    if training_steps is not None and training_epochs is not None:
        raise ValueError("The training to come must be given in steps or in epochs, got both.")
    for name, count in (("training_steps", training_steps), ("training_epochs", training_epochs)):
        if count is not None:
            _check_count(name, count, least=1)
    _check_count("confirm_steps", confirm_steps, least=0)
    check_confirmation(loops, confirm_steps)
    check_jit(jit)
    watcher = watcher or Watcher()
    note = cache(watcher.on_note)
    curves: dict[str, tuple[RangeCurve, ...]] = {}
    bounds: dict[str, Bounds] = {}
    cases = _cases(loops, optimizers or loops.labels, batch_sizes, hyperparameters or {})
    is_loss = loops.monitor == LOSS
    constant = constant_answer(loops.model, loops.batches, max_rows=LABELS_READ) if is_loss else None
    for label, case in cases.items():
        watcher.on_case_begin(label)
        fitting = loops.through_fit(case.optimizer, case.batch_size or None)
        if fitting.reason:
            note(f"range tests go through model.fit, which takes many times longer: {fitting.reason}")
        else:
            choice = choose(fitting.loop, jit, loops.initial_weights(seed), repeats * ramp.num_steps)
            fitting.loop.uses_xla = choice.uses_xla
            if choice.reason:
                note(f"{label}: {choice.reason}")
        curves[label] = record_curves(
            loops,
            case.optimizer,
            case.batch_size or None,
            ramp.rates(),
            repeats=repeats,
            seed=seed,
            on_repeat=partial(watcher.on_repeat_end, label),
        )
        if loops.drawn.are_alike:
            note(ALIKE)
        bounds[label] = find_bounds(
            curves[label],
            optimizer=case.kind,
            training_steps=_updates(loops, case, training_epochs) if training_epochs else training_steps,
            averaging_steps=averaging_steps_of(loops.model),
        )
        if confirm_steps:
            size = case.batch_size or None
            bounds[label], _ = confirm(
                loops, case.optimizer, bounds[label], num_steps=confirm_steps, seed=seed, batch_size=size
            )
        if constant is not None:
            bounds[label] = constant.explained(constant.doubted(bounds[label], curves[label]))
        watcher.on_case_end(label, bounds[label])
    return RangeTestResult(curves, bounds, cases, ramp, seed)


def _updates(loops: Loops, case: Case, epochs: int) -> int:
    """Return the updates in so many epochs; if an optimizer accumulates gradients, one takes several batches."""
    per_update = loops.get(case.optimizer, case.batch_size or None).batches_per_update
    return max(epochs * loops.num_batches(case.batch_size) // per_update, 1)


def _check_count(name: str, value: int, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"`{name}` must be a whole number >= {least}, got {value!r}.")


def _test_model(loops: Loops, *, has_others: bool, **arguments: Any) -> RangeTestResult:
    with loops.left_as_found():
        return run_range_test(loops, hyperparameters=loops.hyperparameters if has_others else None, **arguments)


def _cases(
    loops: Loops, optimizers: Sequence[str], batch_sizes: Sequence[int] | None, values: Mapping[str, Any]
) -> dict[str, Case]:
    """Return what is tested, by label; every batch size is checked before anything is trained."""
    sizes = list(batch_sizes or [loops.batch_size])
    loops.check_batch_sizes(batch_sizes or ())
    cases = {}
    for optimizer in optimizers:
        kind = kind_of(loops.patterns[optimizer])
        for size in sizes:
            varied = ({"batch_size": size} if len(sizes) > 1 else {}) | dict(values)
            label = ", ".join([optimizer, *(f"{name}={value}" for name, value in varied.items())])
            cases[label] = Case(optimizer, kind, size, tuple(loops.hyperparameters.items()))
    return cases
