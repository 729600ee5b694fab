"""Define the bounds of a learning rate, and the verdict of the range test that found them."""

import math
from dataclasses import dataclass, replace
from typing import Any, Self

from pydantic import PositiveFloat, computed_field

from lrrt.plain import JsonRecord, Named


class Verdict(Named):
    """What a range test showed; the value is the sentence shown, to which `Bounds.reason` adds what this test tells."""

    FOUND = "bounds found"
    LOW_CONFIDENCE = "bounds found, but they are uncertain"
    NEVER_DIVERGES = "the loss never rose again, so high is only where the test ended; raise end_lr"
    FLAT = "the loss did not fall at any rate; check the labels and that the model can train, or raise end_lr"
    TOO_NOISY = "the loss may have fallen, but the noise hides it; raise the batch size, repeats or num_steps"
    DIVERGES = "the loss rose from the start without having fallen; lower start_lr"
    NON_FINITE = "the loss was not finite before it had fallen; check the data and the model, or lower start_lr"
    TOO_FEW_POINTS = "there are too few losses to judge; raise num_steps"


DOUBTED = {Verdict.FOUND, Verdict.LOW_CONFIDENCE, Verdict.NEVER_DIVERGES, Verdict.FLAT, Verdict.TOO_NOISY}


@dataclass(frozen=True, slots=True)
class Bounds(JsonRecord):
    """The learning rates worth searching for one optimizer; the rates are None if the test has no answer.

    `low` and `high` are Smith's base_lr and max_lr, `suggested` is a first choice for a constant rate. `verdict` says
    what the test showed, `reason` adds its numbers. The article's readings, medians over the repeats: `lowest`, the
    rate at the lowest loss, which is the largest that Smith (2018, section 4.1) takes for the maximum of a cycle;
    `steepest`, where the loss falls fastest; `diverged`, where the loss is back above its starting level, or the end of
    the ramp. What they are for: `training_steps`, the updates of the training to come; None if not known, and then some
    five times as many as a ramp over eight decades has steps. `averaging_steps`, the updates that the network's moving
    averages run over; None without any. `doubt`, why the rates are uncertain whatever the curves look like; it is part
    of the reason.

    `json.dumps` takes bounds as they are, and a result's `bounds`; `bounds["low"]` is what `to_dict()["low"]` is.

    Raises:
        ValueError: unless `0 < low <= suggested <= high < inf`, or all three are None.
    """

    low: PositiveFloat | None
    high: PositiveFloat | None
    suggested: PositiveFloat | None
    verdict: Verdict
    reason: str
    lowest: PositiveFloat | None = None
    steepest: PositiveFloat | None = None
    diverged: PositiveFloat | None = None
    training_steps: int | None = None
    averaging_steps: float | None = None
    doubt: str | None = None

    def __post_init__(self) -> None:
        rates = [rate for rate in (self.low, self.suggested, self.high) if rate is not None]
        if rates and not (len(rates) == 3 and 0 < rates[0] <= rates[1] <= rates[2] < math.inf):
            got = (self.low, self.suggested, self.high)
            raise ValueError(f"`0 < low <= suggested <= high` must hold, got {got!r}.")
        JsonRecord.__post_init__(self)  # `super()` finds no class in a dataclass with slots

    def to_dict(self) -> dict[str, Any]:
        """Return the same as plain data, ready for `json.dumps`."""
        return dict(self)

    def doubted(self, doubt: str | None) -> Self:
        """Return the same with a doubt that the curves do not show; bounds without an answer have nothing to doubt."""
        if doubt is None or self.verdict not in DOUBTED:
            return self
        if self.verdict is not Verdict.FOUND:
            return replace(self, reason=f"{self.reason}; {doubt}", doubt=doubt)
        unsure = Verdict.LOW_CONFIDENCE
        return replace(self, verdict=unsure, reason=f"{unsure.value}: {doubt}", doubt=doubt)

    @property
    def cyclical_high(self) -> float | None:
        """The largest maximum for a cyclical rate, which may be larger than a constant rate (Smith 2018, 4.1)."""
        return self.high if self.high is None or self.lowest is None else max(self.high, self.lowest)

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorator on a property
    @property
    def decades(self) -> float | None:
        """The width of the bounds in decades: `log10(high / low)`."""
        return None if self.low is None or self.high is None else math.log10(self.high / self.low)
