"""Decide which rows are trained on and which are judged: at random, by class, by group or in order of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.labels import class_numbers
from pipeline.data.order import looks_ordered
from pipeline.failures import TaskError
from studies import make_folds
from studies.analysis.folds import Fold

ANOTHER = 'Set [task] split = "random", "stratified", "group" or "time".'
HOW = {
    "random": "drawn at random",
    "stratified": "drawn at random within each class",
    "group": "in whole groups",
    "time": "the last rows",
}


@dataclass(frozen=True, slots=True)
class Split:
    """The way in which the rows of a task are split.

    Attributes:
        kind: "random", "stratified", "group" or "time".
        num_rows: the number of rows.
        classes: the class number of each row, for a stratified split.
        groups: the group number of each row, for a split by group.
    """

    kind: str
    num_rows: int
    classes: NDArray[np.int64] | None = None
    groups: NDArray[np.int64] | None = None

    def looks_ordered(self, arrays: Any, *, has_groups: bool) -> bool:
        """Say whether rows are drawn at random though they have groups, or their order looks like that of time."""
        if self.kind not in ("random", "stratified"):
            return False
        return has_groups or looks_ordered(arrays, class_numbers(arrays))

    def hold_out(self, fraction: float, seed: int) -> Fold:
        """Return the rows to train on and those that are held out, each in their order.

        Args:
            fraction: the part of the rows, or of the groups, that is held out.
            seed: the seed of the draw.

        Raises:
            TaskError: if a side would be empty, or lack a class.
        """
        from sklearn.model_selection import GroupShuffleSplit, train_test_split

        rows = np.arange(self.num_rows)
        try:
            if self.groups is not None:
                draw = GroupShuffleSplit(1, test_size=fraction, random_state=seed)
                train, held = next(draw.split(rows, groups=self.groups))
            elif self.kind == "time":
                train, held = train_test_split(rows, test_size=fraction, shuffle=False)
            else:
                train, held = train_test_split(rows, test_size=fraction, random_state=seed, stratify=self.classes)
        except ValueError as error:  # scikit-learn's, if nothing would be left on one side
            raise TaskError(
                f"Validation data must be held out of the training data, but {error} Set another [study] "
                "validation_fraction."
            ) from error
        if self.classes is not None:
            train, held = _with_each_class(self.classes, train, held, np.random.default_rng(seed))
        return np.sort(train), np.sort(held)

    def folds(self, num_folds: int, seed: int) -> list[Fold]:
        """Return the training rows and the validation rows of each fold.

        Raises:
            TaskError: if there are fewer rows, groups, or rows of a class than folds.
        """
        try:
            return list(
                make_folds(
                    self.num_rows,
                    num_folds=num_folds,
                    labels=self.classes,
                    groups=self.groups,
                    in_order=self.kind == "time",
                    seed=seed,
                )
            )
        except ValueError as error:
            raise TaskError(str(error)) from error


def split_of(name: str, arrays: Any, num_rows: int, groups: NDArray[np.int64] | None) -> Split:
    """Return the split of this name; "auto" is by group if there are groups, by class if there are classes.

    Args:
        name: the config's key.
        arrays: the data, (x,), (x, y) or (x, y, sample_weight).
        num_rows: its number of rows.
        groups: the group number of each row; None if the task has none.

    Raises:
        TaskError: if the data lacks what the split needs, or has a class with one row, or one group.
    """
    classes = class_numbers(arrays) if name in ("auto", "stratified") else None
    kind = name
    if name == "auto":
        kind = "group" if groups is not None else "random" if classes is None else "stratified"
    if kind == "stratified":
        _check_classes(classes, name)
        return Split(kind, num_rows, classes=classes)
    if kind == "group":
        _check_groups(groups)
        return Split(kind, num_rows, groups=groups)
    return Split(kind, num_rows)


def group_numbers(groups: Any, num_rows: int, load_data: str) -> NDArray[np.int64] | None:
    """Return the number of each row's group; None for a task without groups.

    Args:
        groups: what `load_data` returned, one value a row, of any kind that can be compared.
        num_rows: the rows of the data that is split.
        load_data: its name for messages.

    Raises:
        TaskError: for groups of another length or shape.
    """
    if groups is None:
        return None
    values = np.asarray(groups)
    if values.ndim != 1 or len(values) != num_rows:
        raise TaskError(
            f'"groups" of {load_data} must have one value for each of the {num_rows} rows that are split, got the '
            f"shape {values.shape}."
        )
    return np.unique(values.astype(str) if values.dtype == object else values, return_inverse=True)[1].astype(np.int64)


def _with_each_class(classes: NDArray[np.int64], train: Any, held: Any, rng: np.random.Generator) -> Fold:
    """Exchange a row for each class that is on one side only, which scikit-learn leaves out if it is rare."""
    for number in np.unique(classes):
        for lacking, other in ((held, train), (train, held)):
            if number not in classes[lacking]:
                values, counts = np.unique(classes[lacking], return_counts=True)
                given = rng.choice(np.flatnonzero(classes[other] == number))
                taken = rng.choice(np.flatnonzero(classes[lacking] == values[counts.argmax()]))
                lacking[taken], other[given] = other[given], lacking[taken]
    return train, held


def _check_classes(classes: NDArray[np.int64] | None, name: str) -> None:
    if classes is None:
        raise TaskError(
            f'A stratified split must have labels that are one class a row, got others. {ANOTHER} "auto" chooses.'
        )
    numbers, counts = np.unique(classes, return_counts=True)
    if counts.min() < 2:
        chosen = "" if name == "stratified" else "Labels that are class numbers are split stratified. "
        raise TaskError(
            f"{chosen}Each class must have two rows, one to train on and one to judge by, got one of class "
            f'{numbers[counts.argmin()]}. Add or drop rows of that class, or set [task] split = "random".'
        )


def _check_groups(groups: NDArray[np.int64] | None) -> None:
    if groups is None:
        raise TaskError(
            'A split by group must have "groups", one value for each row of "train", in what load_data returns, got '
            f"none. {ANOTHER}"
        )
    if groups.max() == 0:
        raise TaskError(f"A split by group must have two groups, one on each side, got one. {ANOTHER}")
