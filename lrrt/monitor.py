"""Name what a range test watches: the training loss, or a metric of the training or the validation data."""

import re
from dataclasses import dataclass
from typing import Any

from lrrt.steps import has_step_of_its_own

ON_VALIDATION = "val_"
# The names that Keras gives its own metrics, by their direction, with the short names that it takes.
MAXIMISED = (
    *("accuracy", "acc", "binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy"),
    *("top_k_categorical_accuracy", "sparse_top_k_categorical_accuracy", "auc", "precision", "recall", "f1_score"),
    *("fbeta_score", "precision_at_recall", "recall_at_precision", "sensitivity_at_specificity"),
    *("specificity_at_sensitivity", "cosine_similarity", "r2_score", "io_u", "binary_io_u", "mean_io_u"),
    *("one_hot_io_u", "one_hot_mean_io_u", "pearson_correlation", "concordance_correlation", "true_positives"),
    "true_negatives",
)
MINIMISED = (
    *("mean_squared_error", "mse", "mean_absolute_error", "mae", "mean_absolute_percentage_error", "mape"),
    *("mean_squared_logarithmic_error", "msle", "root_mean_squared_error", "rmse", "logcosh", "kl_divergence"),
    *("poisson", "binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy", "crossentropy"),
    *("hinge", "squared_hinge", "categorical_hinge", "false_positives", "false_negatives"),
)


@dataclass(frozen=True, slots=True)
class Monitor:
    """What is read at each step of a range test.

    `name` is "loss", a metric's name, or either with "val_" before it. A validation monitor is measured at every
    `every`-th step on a fixed part of the validation data. `is_maximised` says that more is better.

    Raises:
        ValueError: if `every` is less than 1, or the training loss is to be maximised.
    """

    name: str = "loss"
    every: int = 1
    is_maximised: bool = False

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"A monitor must be measured every 1 or more steps, got every={self.every!r}.")
        if self.is_maximised and self.metric == "loss":
            raise ValueError(f"A loss must be minimised, got is_maximised=True for {self.name!r}.")

    @property
    def on_validation(self) -> bool:
        return self.name.startswith(ON_VALIDATION)

    @property
    def sign(self) -> float:
        """What its values are multiplied by so that less is better; it turns them back as well."""
        return -1.0 if self.is_maximised else 1.0

    @property
    def metric(self) -> str:
        """The key in what a train_step or test_step returns."""
        return self.name.removeprefix(ON_VALIDATION)

    def in_words(self, of_loss: str) -> str:
        """Return a sentence about a loss as one about this monitor: with its name, and up for down if more is better.

        >>> Monitor("val_auc", is_maximised=True).in_words("the loss never rose again")
        'val_auc never fell again'
        >>> Monitor().in_words("the loss never rose again")
        'the loss never rose again'
        """
        if self == LOSS:
            return of_loss
        words = OPPOSITES if self.is_maximised else {}
        turned = re.sub(r"[a-z]+", lambda match: words.get(match[0], match[0]), of_loss)
        return re.sub(r"\bthe loss\b|\ba loss\b", lambda _: self.name, turned)


OPPOSITES = {"fell": "rose", "fall": "rise", "falls": "rises", "fallen": "risen", "lowest": "highest"}
OPPOSITES |= {opposite: word for word, opposite in OPPOSITES.items()}
LOSS = Monitor()
VALIDATION_EVERY = 5  # steps; a probe costs about as much as a step, so it adds a fifth


def checked_monitor(name: str, model: Any, mode: str, *, has_validation: bool) -> Monitor:
    """Make the monitor of this name, as `monitor_for` does, for data with or without validation data.

    Raises:
        ValueError: as `monitor_for` does, and for a monitor of validation data if there is none.
    """
    if name == "loss" and mode == "auto":
        return LOSS
    monitor = monitor_for(name, model, mode)
    if monitor.on_validation and not has_validation:
        raise ValueError(f"`monitor={name!r}` must have `validation_data`, got none.")
    return monitor


def monitor_for(name: str, model: Any, mode: str = "auto") -> Monitor:
    """Make the monitor of this name for a compiled model.

    Args:
        name: "loss", "val_loss", or what `fit` calls a metric, with or without "val_": "accuracy", "val_kind_accuracy";
            or a key of what a train_step of the model's own returns: "kl_loss".
        model: a compiled keras.Model whose metrics are built.
        mode: "min", "max", or "auto": losses and errors are minimised, and what Keras says of its own metrics holds.

    Raises:
        ValueError: for a metric that was not compiled, an unknown mode, or a metric whose direction is not known.
    """
    if not isinstance(name, str):
        raise TypeError(f"`monitor` must be the name of a loss or a compiled metric, got {name!r:.80}.")
    if mode not in ("auto", "min", "max"):
        raise ValueError(f'`monitor_mode` must be "auto", "min" or "max", got {mode!r}.')
    every = VALIDATION_EVERY if name.startswith(ON_VALIDATION) else 1
    metric = name.removeprefix(ON_VALIDATION)
    if metric == "loss":
        return Monitor(name, every, is_maximised=mode == "max")
    known = _metrics_of(model)
    if metric not in known and not has_step_of_its_own(model):
        raise ValueError(
            f"`monitor` must be a loss or a compiled metric, got {name!r}; compiled are "
            f"{', '.join(known) or 'none'}. Name it in model.compile(metrics=[..])."
        )
    direction = direction_of(metric, model) if mode == "auto" else mode
    if direction is None:
        raise ValueError(f'`monitor_mode` must be "min" or "max" for {name!r}, whose direction Keras does not know.')
    return Monitor(name, every, is_maximised=direction == "max")


def direction_of(name: str, model: Any = None) -> str | None:
    """Return "min" or "max" for a loss or a metric; None if its direction is not known.

    Losses are minimised. What Keras says of the model's metric of this name holds, or of its own metric whose name this
    is, be it after the name of an output or before a number.

    Args:
        name: the key in Keras's logs.
        model: a compiled keras.Model; None if only the name is known.

    >>> direction_of("val_auc"), direction_of("out_accuracy"), direction_of("val_mae"), direction_of("val_profit")
    ('max', 'max', 'min', None)
    """
    metric = name.removeprefix(ON_VALIDATION)
    if _is_called(metric, "loss") or _is_called(metric, "error"):
        return "min"
    for key, each in ({} if model is None else _metrics_of(model)).items():
        if (key == metric or _is_called(metric, each.name)) and hasattr(each, "_direction"):
            return {"up": "max", "down": "min"}.get(each._direction)
    bare = re.sub(r"_\d+$", "", metric).lower()
    ups, downs = ([one for one in names if _is_called(bare, one)] for names in (MAXIMISED, MINIMISED))
    if not ups and not downs:
        return None
    return "max" if max(map(len, ups), default=0) > max(map(len, downs), default=0) else "min"


def _is_called(name: str, known: str) -> bool:
    """Say whether a name is this one, perhaps after the name of an output."""
    return name == known or name.endswith(f"_{known}")


def _metrics_of(model: Any) -> dict[str, Any]:
    """Return the compiled metrics of a model, and those that it makes itself, by what `fit` calls them.

    Of several outputs, metrics and losses have the output's name before theirs.
    """
    named: dict[str, Any] = {}
    for metric in model.metrics:
        inner = getattr(metric, "metrics", None)  # what has them holds those that were compiled
        named |= (
            {metric.name: metric} if inner is None else dict(zip(metric.result() if inner else (), inner, strict=True))
        )
    return {name: metric for name, metric in named.items() if name != "loss"}
