"""Find the loss of always giving one answer, which no training should take for learning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lrrt.arrays import ArrayBatches
from lrrt.batches import Batches
from lrrt.bounds import Bounds
from lrrt.comparison import compare
from lrrt.curve import RangeCurve
from lrrt.smoothing import count_finite, noise_of, smooth
from lrrt.steps import has_step_of_its_own
from lrrt.words import digits_text, score_text

if TYPE_CHECKING:
    import keras

ROWS = 4096  # labels read at a time
MAX_VALUES = 2**26  # numbers in the labels, a quarter of a gibibyte; of more, nothing is said
HARDLY = 0.02  # of its loss; what beats the constant answer by less has hardly learnt
# The best of many answers, each k nats from the truth in the mean, seems better by z sqrt(2 k / n) - k, which is
# z^2 / 2 n at the most; z is 3, and a loss is about one nat.
LUCK = 4.5
CHOSEN = 3.0  # standard errors by which the lowest of many smoothed losses may lie below their mean
AROUND = 10  # steps on either side of the lowest loss
FAR_LABELS = 10.0  # SGD on prices of some 4,000 dollars shows no fall in 100 steps, and learns them in 5,000
SMALLEST_SHARE = 1e-7  # Keras's own smallest probability
SHARES, MEAN, MEDIAN = "the shares of the classes", "the mean of the labels", "the median of the labels"

Labels = list[NDArray[Any]]


@dataclass(frozen=True, slots=True)
class ConstantAnswer:
    """The answer that has the lowest loss of those that are the same for every sample.

    Attributes:
        loss: its loss, without penalties of the model's weights.
        answer: what it is: "the shares of the classes".
        num_samples: of how many samples.
        label_size: the median size of the labels of regressions, the largest of all outputs; 0 without any.
    """

    loss: float
    answer: str
    num_samples: int
    label_size: float = 0.0

    def is_hardly_beaten_by(self, loss: float) -> bool:
        """Say whether a loss is no better than this one, but for a small part of it, or for what luck may bring.

        >>> [ConstantAnswer(0.69, SHARES, 1000).is_hardly_beaten_by(loss) for loss in (0.68, 0.6)]
        [True, False]
        >>> ConstantAnswer(1.2e-7, SHARES, 1000).is_hardly_beaten_by(0.0)  # the labels are all of one class
        True
        """
        return not loss < self.loss - self._rounding() - (HARDLY + LUCK / self.num_samples) * abs(self.loss)

    def in_words(self, loss: float) -> str:
        """Compare a loss that hardly beats it with this one.

        >>> ConstantAnswer(0.69, SHARES, 1000).in_words(0.685)
        'hardly better than always answering the shares of the classes, which has a loss of 0.69'
        """
        is_hardly = loss > self.loss - self._rounding() - HARDLY * abs(self.loss)
        than = f"than always answering {self.answer}, which has a loss of {score_text(self.loss)}"
        if is_hardly:
            return f"{'hardly' if loss < self.loss else 'no'} better {than}"
        return f"better {than}, but no more so than luck may bring with {self.num_samples} samples"

    def explained(self, bounds: Bounds) -> Bounds:
        """Return bounds without rates with what to do, if the labels are far from what a network begins with."""
        if bounds.low is not None or self.label_size < FAR_LABELS:
            return bounds
        return replace(
            bounds,
            reason=f"{bounds.reason}; the labels are of the size {digits_text(self.label_size, 2)}, and a network "
            "begins near 0, so that a ramp may be too short to come near them: scale the labels to about 1",
        )

    def _rounding(self) -> float:
        """Return by how much a loss may be lower because Keras rounds the smallest probabilities in its own way."""
        return 2 * SMALLEST_SHARE if self.answer == SHARES else 0.0

    def doubted(self, bounds: Bounds, curves: Sequence[RangeCurve]) -> Bounds:
        """Return bounds with the doubt that nothing was learnt, if curves fall below this loss by noise alone."""
        lowest = compare({"": curves}, {"": bounds})[0].best
        if lowest is None:
            return bounds
        noise = float(np.median([_noise_at_lowest(curve) for curve in curves if count_finite(curve.losses)]))
        if not self.is_hardly_beaten_by(lowest + CHOSEN * noise):
            return bounds
        hardly, is_sure = "hardly" if lowest < self.loss else "no", self.is_hardly_beaten_by(lowest)
        remedy = "check the labels" if self.label_size < FAR_LABELS else "scale the labels to about 1"
        return bounds.doubted(
            f"{'' if is_sure else 'apart from noise '}the lowest loss, {score_text(lowest)}, is {hardly} better than "
            f"always answering {self.answer}, which has a loss of {score_text(self.loss)}; {remedy}, or raise num_steps"
        )


def _noise_at_lowest(curve: RangeCurve) -> float:
    """Return the standard error of the lowest smoothed loss, as `noise_of` does, but from the losses around it.

    Losses of answers that are all alike scatter less than those of answers that differ.
    """
    num_finite = count_finite(curve.losses)
    lrs, losses = curve.lrs[:num_finite], curve.losses[:num_finite]
    lowest = int(smooth(lrs, losses).argmin())
    begin = max(lowest - AROUND, 0)
    return noise_of(lrs[begin : lowest + AROUND], losses[begin : lowest + AROUND])


def constant_answer(model: keras.Model, batches: Batches, *, max_rows: int | None = None) -> ConstantAnswer | None:
    """Return the best constant answer to the labels: class shares for crossentropies, else their mean, or median.

    Args:
        model: a compiled model; its own loss is asked, so that weights of outputs and samples count.
        batches: the labels, with x and weights; one pass is read.
        max_rows: if the data is arrays, labels of so many random samples are enough; other data then has no answer.

    Returns:
        None for a model that makes its loss itself, for labels or losses of a kind that has no constant answer, and for
        several replicas.
    """
    if not _has_compiled_loss(model) or model.distribute_strategy.num_replicas_in_sync > 1:
        return None
    if isinstance(batches, ArrayBatches):
        batches = batches.with_batch_size(min(ROWS, batches.num_samples, max_rows or ROWS))
    elif max_rows is not None:
        return None
    try:
        return _answer(model, batches, max_rows)
    except Exception:  # the user's loss may raise anything for what it was not made for; then there is nothing to say
        return None


def _has_compiled_loss(model: keras.Model) -> bool:
    return model.loss is not None and not has_step_of_its_own(model)


def _answer(model: keras.Model, batches: Batches, max_rows: int | None) -> ConstantAnswer | None:
    import keras

    y_pred = model(batches.sample(1)[0], training=False)
    outputs = keras.tree.flatten(y_pred)
    names = list(getattr(model, "output_names", None) or [])
    read = _read_labels(batches, names, max_rows)
    losses = _losses(model.loss, names, len(outputs))
    if read is None or losses is None or len(read[0]) != len(outputs):
        return None
    labels, batch_of = read
    weights = batch_of[1] if isinstance(batch_of[1], np.ndarray) and batch_of[1].ndim == 1 else None
    answers = [_constant(*one, weights) for one in zip(losses, labels, outputs, strict=True)]
    loss = _loss_of(model, batch_of, y_pred, [constant for constant, _ in answers])
    if not math.isfinite(loss):
        return None
    sizes = (
        float(np.median(np.abs(np.asarray(one, float))))
        for one, (_, answer) in zip(labels, answers, strict=True)
        if answer != SHARES
    )
    answer_text = " and ".join(dict.fromkeys(answer for _, answer in answers))
    return ConstantAnswer(loss, answer_text, len(labels[0]), max(sizes, default=0.0))


def _read_labels(batches: Batches, names: list[str], max_rows: int | None) -> tuple[Labels, tuple[Any, Any]] | None:
    """Return the labels of each output, and (y, sample_weight) of all samples as the model takes them."""
    import keras

    num_batches = batches.num_batches if max_rows is None else 1
    plan = batches.plan(num_batches, None if max_rows is None else np.random.default_rng(0))
    parts, num_values = [], 0
    for step in range(num_batches):
        batch = keras.tree.map_structure(np.asarray, batches.take(step, *plan)[1:])
        if not batch:
            return None
        num_values += sum(part.size for part in keras.tree.flatten(batch))
        if num_values > MAX_VALUES:
            return None
        parts.append(batch)
    whole = keras.tree.map_structure(lambda *values: np.concatenate(values), *parts)
    y, weights = whole[0], whole[1] if len(whole) > 1 else None
    by_output = [y[name] for name in names] if isinstance(y, dict) and set(names) <= set(y) else keras.tree.flatten(y)
    return by_output, (y, weights)


def _losses(loss: Any, names: list[str], num_outputs: int) -> list[Any] | None:
    if isinstance(loss, dict):
        loss = [loss.get(name) for name in names]
    losses = list(loss) if isinstance(loss, list | tuple) else [loss] * num_outputs
    return losses if len(losses) == num_outputs and all(one is not None for one in losses) else None


def _constant(loss: Any, labels: NDArray[Any], output: Any, weights: NDArray[Any] | None) -> tuple[Any, str]:
    """Return what is answered to every sample, which can be broadcast to outputs, and what it is."""
    import keras

    function = keras.losses.get(loss)
    name = getattr(function, "__name__", type(function).__name__).lower().replace("_", "")
    config = function.get_config() if isinstance(function, keras.losses.Loss) else {}
    if "categoricalcrossentropy" in name or "categoricalfocal" in name:
        shares = _shares(labels, output.shape[-1], weights, is_sparse="sparse" in name)
        shares = np.clip(shares, SMALLEST_SHARE, 1.0)
        return (np.log(shares) if config.get("from_logits") else shares), SHARES
    labels = labels.reshape(len(labels), *output.shape[1:])
    if "binarycrossentropy" in name or "binaryfocal" in name:
        share = np.clip(np.average(labels, axis=0, weights=weights), SMALLEST_SHARE, 1 - SMALLEST_SHARE)
        return (np.log(share / (1 - share)) if config.get("from_logits") else share), SHARES
    if name in ("meanabsoluteerror", "mae"):
        return np.median(labels, axis=0), MEDIAN
    return np.average(labels, axis=0, weights=weights), MEAN


def _shares(labels: NDArray[Any], num_classes: int, weights: NDArray[Any] | None, *, is_sparse: bool) -> NDArray[Any]:
    if not is_sparse:
        return np.average(labels, axis=0, weights=weights).reshape(-1, num_classes).mean(axis=0)
    rows = labels.reshape(len(labels), -1).astype(int)
    each = np.broadcast_to(1.0 if weights is None else weights[:, None], rows.shape)
    counts = np.bincount(rows[rows >= 0], each[rows >= 0], minlength=num_classes)
    return counts / counts.sum()


def _loss_of(model: keras.Model, batch: tuple[Any, Any], y_pred: Any, constants: list[Any]) -> float:
    """Return the model's loss of constant answers, without its penalties; the mean over all samples."""
    import keras

    def part(values: Any, begin: int) -> Any:
        return keras.tree.map_structure(lambda array: array[begin : begin + ROWS], values)

    num_rows = len(keras.tree.flatten(batch[0])[0])
    penalty = sum(float(keras.ops.sum(loss)) for loss in model.losses)
    total = 0.0
    for begin in range(0, num_rows, ROWS):
        size = min(ROWS, num_rows - begin)
        answers = [
            keras.ops.cast(np.broadcast_to(constant, (size, *output.shape[1:])), output.dtype)
            for constant, output in zip(constants, keras.tree.flatten(y_pred), strict=True)
        ]
        y, weights = part(batch[0], begin), None if batch[1] is None else part(batch[1], begin)
        packed = keras.tree.pack_sequence_as(y_pred, answers)
        total += size * (float(model.compute_loss(y=y, y_pred=packed, sample_weight=weights)) - penalty)
    return total / num_rows
