"""Say in sentences how a task's data is used: what is judged by which rows, and what may make scores too good."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lrrt.streams import is_stream
from pipeline.config.study_table import HELD_OUT
from pipeline.config.tables import StageConfig
from pipeline.data.splits import HOW

if TYPE_CHECKING:
    from pipeline.data.folds import Folds
    from pipeline.data.loaded_task import Task

TOO_GOOD = "SCORES MAY BE TOO GOOD"
BEFORE = "each trains only on the rows before those that judge it"


@dataclass(frozen=True, slots=True)
class DataUse:
    """How a task's data is split and used.

    Attributes:
        split: how rows are held out or cut into folds: "random", "stratified", "group" or "time"; None if neither is
            done.
        is_held_out: whether validation data is held out of the training data.
        class_weight: the weight of each class in training; None if classes are not weighted.
        notes: sentences for people who run a stage or read its report.
        brings_batches: whether the training data comes in batches of its own, whatever size a config names.
    """

    split: str | None = None
    is_held_out: bool = False
    class_weight: Mapping[int, float] | None = None
    notes: tuple[str, ...] = ()
    brings_batches: bool = False


def use_of(
    config: StageConfig, task: Task, folds: Folds | None, class_weight: Mapping[int, float] | None = None
) -> DataUse:
    """Return how the data of a task is used.

    Args:
        config: the config of the stage.
        task: its task.
        folds: the folds of its further trainings; None if there are none.
        class_weight: the weight of each class in training; None if classes are not weighted.
    """
    held = task.held_out
    split = held.kind if held is not None else None if folds is None else folds.split.kind
    notes = (
        *_on_hold_out(config, task),
        *_on_folds(config, task, folds),
        *_on_weights(class_weight),
        *_on_values(task),
        *_on_batches(config, task),
    )
    return DataUse(split, held is not None, class_weight, notes, is_stream(task.train))


def _on_hold_out(config: StageConfig, task: Task) -> Iterator[str]:
    fraction, held = config.study.validation_fraction, task.held_out
    if held is not None:
        parts = f"{fraction:.0%} of the {'groups' if held.kind == 'group' else 'training data'}"
        yield f"the task brings no validation data: {parts} is held out for it, {HOW[held.kind]}"
        if held.looks_ordered:
            yield _too_good(task, "validation data is")
    elif fraction != HELD_OUT:
        yield f"validation_fraction = {fraction:g} has no effect: the task brings its own validation data"


def _too_good(task: Task, what: str) -> str:
    if task.groups is not None:
        return (
            f"{TOO_GOOD}: {what} drawn at random, so that rows of one group are trained on and "
            'judged by. Set [task] split = "group"'
        )
    return (
        f"{TOO_GOOD}: {what} drawn at random, but neighbouring rows are alike, as in a time "
        'series or in groups. Set [task] split = "time", or "group" with "groups" from load_data, or shuffle the rows '
        "if their order means nothing"
    )


def _on_folds(config: StageConfig, task: Task, folds: Folds | None) -> Iterator[str]:
    if folds is None:
        if task.held_out is None and config.task.split != "auto":
            yield (
                f'split = "{config.task.split}" has no effect: the task brings its own validation data, and there are '
                "no folds"
            )
        if task.held_out is None and task.groups is not None:
            yield "groups have no effect: the task brings its own validation data, and there are no folds"
        return
    if config.study.score_folds:
        yield (
            f"each trial's score is the mean over {config.study.score_folds} folds; the models that are saved are "
            "trained on the training data alone"
        )
    kind = folds.split.kind
    how = BEFORE if kind == "time" else HOW[kind]
    if task.held_out is not None:
        yield f"folds are cut from all rows that are not test data, {how}"
    elif config.study.mixes_validation:
        yield f"folds are cut from training and validation data together, {how}"
    else:
        yield f"folds are cut from the training data alone, without the task's own validation data, {how}"
    if task.held_out is None and folds.looks_ordered:
        yield _too_good(task, "folds are")


def _on_weights(class_weight: Mapping[int, float] | None) -> Iterator[str]:
    if class_weight is not None:
        weights = ", ".join(f"{number}: {weight:.3g}" for number, weight in class_weight.items())
        yield (
            f"training losses are weighted by class ({weights}) and validation losses are not, as in fit, so that the "
            "gap between them says little"
        )


def _on_values(task: Task) -> Iterator[str]:
    if task.data_names:
        names = ", ".join(task.data_names)
        yield f"the data depend on {names}: they are loaded for each value, and stay loaded as far as memory allows"


def _on_batches(config: StageConfig, task: Task) -> Iterator[str]:
    if is_stream(task.train):
        size = config.study.batch_sizes[0]
        yield f"the training data comes in batches of its own: where results say {size}, its own size is meant"
