"""Pictures of a study: what is drawn, and that odd losses can be drawn too."""

import io
import sys

import numpy as np
import pytest

from studies.analysis.plot import plot_losses
from studies.overfitting import LossCurves, check_overfitting

NAN, INF = float("nan"), float("inf")


def draw(train, val, **options):
    figure = plot_losses(LossCurves.from_losses(train, val), check_overfitting(train, val), **options)
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    return figure


def texts_of(figure):
    return {text.get_text() for text in figure.axes[0].texts}


def test_both_losses_are_drawn_by_epoch_counted_from_one():
    train, val = [1.0, 0.6, 0.4, 0.3, 0.2, 0.1], [1.0, 0.6, 0.5, 0.6, 0.8, 1.0]
    lines = {line.get_label(): line for line in draw(train, val).axes[0].lines}
    assert lines["training loss"].get_xdata().tolist() == [1, 2, 3, 4, 5, 6]
    assert lines["training loss"].get_ydata().tolist() == train
    assert lines["validation loss"].get_ydata().tolist() == val
    assert "best: epoch 3, validation loss 0.5" in lines


def test_an_overfitted_training_shows_both_regions_and_its_verdict():
    figure = draw([1.0, 0.6, 0.4, 0.3, 0.2, 0.1], [1.0, 0.6, 0.5, 0.6, 0.8, 1.0], title="trial 7")
    assert {"underfit", "overfit"} < texts_of(figure)
    assert any("rose from its best" in text for text in texts_of(figure))
    assert figure.axes[0].get_title(loc="left") == "trial 7"


def test_a_training_that_is_not_overfitted_is_not_called_so():
    falling = (2 * np.exp(-np.arange(40) / 5) + 0.1).tolist()
    wavering = [*falling[:-5], *([falling[-6] + 1e-9] * 5)]
    assert "overfit" not in texts_of(draw(falling, falling)) | texts_of(draw(falling, wavering))


@pytest.mark.parametrize(
    ("losses", "scale"),
    [
        ([100.0, 10.0, 0.5], "log"),
        ([50.0, 10.0, 1.0], "linear"),
        ([100.0, 1.0, -0.1], "linear"),
        ([9.0, 0.0], "linear"),
    ],
)
def test_the_axis_is_logarithmic_only_for_positive_losses_over_two_decades(losses, scale):
    assert draw(losses, losses).axes[0].get_yscale() == scale


@pytest.mark.parametrize(
    ("train", "val"), [([1.0], [2.0]), ([NAN], [NAN]), ([1.0, NAN, 2.0], [1.0, INF, -INF]), ([NAN, 1.0], [1.0, 1.0])]
)
def test_odd_losses_can_be_drawn(train, val):
    labels = {line.get_label() for line in draw(train, val).axes[0].lines}
    assert ("not finite" in labels) == (not np.isfinite([train, val]).all())


def test_no_window_toolkit_is_touched():
    draw([1.0, 0.5], [1.0, 0.6])
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
