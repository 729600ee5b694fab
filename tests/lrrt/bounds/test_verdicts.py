"""What is true of each verdict on a real Keras model: its sentence, its numbers, its pictures."""

import keras
import numpy as np
import pytest
from matplotlib.figure import Figure

import lrrt
from lrrt import Bounds, RangeCurve, Verdict
from lrrt.plot import plot_loss_deltas, plot_losses

ONES = np.ones((64, 1), "float32")


class Bowl(keras.Model):
    """Its loss is `4 w^2`: gradient descent diverges above a rate of 1/4."""

    def __init__(self):
        super().__init__()
        self.w = self.add_weight(shape=(), initializer="ones")

    def call(self, x):
        return 0.0 * x + self.w


def bowl(loss=lambda y_true, y_pred: 4 * y_pred**2):
    model = Bowl()
    model.compile("sgd", loss)
    return model


def run(build_model, ramp):
    return lrrt.range_test(build_model, (ONES, ONES), optimizers=["sgd"], ramp=ramp, repeats=1)


RESULTS = {
    Verdict.FOUND: lambda: run(bowl, lrrt.Ramp(1e-5, 10.0, 240)),
    Verdict.NEVER_DIVERGES: lambda: run(bowl, lrrt.Ramp(1e-5, 0.1, 120)),
    Verdict.DIVERGES: lambda: run(bowl, lrrt.Ramp(0.3, 100.0, 60)),
    Verdict.FLAT: lambda: run(lambda: bowl(lambda y_true, y_pred: 0 * y_pred + y_true), lrrt.Ramp(num_steps=60)),
    Verdict.NON_FINITE: lambda: run(
        lambda: bowl(lambda y_true, y_pred: keras.ops.log(-(y_pred**2))), lrrt.Ramp(num_steps=60)
    ),
    Verdict.TOO_FEW_POINTS: lambda: run(bowl, lrrt.Ramp(1e-5, 10.0, 6)),
    Verdict.LOW_CONFIDENCE: lambda: run(bowl, lrrt.Ramp(0.02, 10.0, 100)),
}
WITH_RATES = (Verdict.FOUND, Verdict.NEVER_DIVERGES, Verdict.LOW_CONFIDENCE)


@pytest.mark.parametrize("verdict", list(RESULTS))
def test_each_verdict_comes_with_its_sentence_and_a_picture(verdict, tmp_path):
    result = RESULTS[verdict]()
    bounds = result.bounds["sgd"]

    assert bounds.verdict is verdict
    assert bounds.reason.startswith(verdict.value)
    assert (bounds.low is not None) == (verdict in WITH_RATES)
    assert verdict.value in str(result)
    assert lrrt.RangeTestResult.from_json(result.to_json()) == result
    for figure, path in ((result.plot(), tmp_path / "losses.png"), (result.plot_deltas(), tmp_path / "deltas.svg")):
        figure.savefig(path)
        assert path.stat().st_size > 5_000


@pytest.mark.parametrize("curves", [(), (RangeCurve((), ()),)], ids=["no curve", "a curve of no point"])
def test_a_picture_of_nothing_is_an_empty_one(curves):
    nothing = Bounds(None, None, None, Verdict.NON_FINITE, Verdict.NON_FINITE.value)
    for draw in (plot_losses, plot_loss_deltas):
        assert not draw({"sgd": curves}, {"sgd": nothing}).axes[0].get_legend()


@pytest.mark.parametrize("kind", ["{}", "adam, batch_size={}, units=64"])
def test_a_picture_of_six_tells_them_apart_and_hides_nothing(kind):
    """Each line has a colour and a style of its own, each bounds' shade a band of its own; the legend stands below."""
    lrs = lrrt.Ramp().rates()
    curve = RangeCurve(tuple(lrs), tuple(2 - 1 / (1 + (1e-2 / lrs) ** 2) + (lrs / 0.3) ** 2))
    labels = [kind.format(number) for number in range(6)]
    curves, bounds = dict.fromkeys(labels, (curve,)), dict.fromkeys(labels, lrrt.find_bounds([curve]))
    for draw in (plot_losses, plot_loss_deltas):
        figure = draw(curves, bounds)
        figure.draw_without_rendering()
        (axes,) = figure.axes
        lines = [line for line in axes.lines if line.get_label() in {text.get_text() for text in legend_of(axes)}]
        legend = axes.get_legend().get_window_extent()

        assert len({line.get_color() for line in lines}) == len({str(line._dash_pattern) for line in lines}) == 6
        assert len({patch.get_y() for patch in axes.patches}) == 6
        assert legend.y1 < axes.get_window_extent().y0
        assert 0 <= legend.x0 < legend.x1 <= figure.bbox.x1


def legend_of(axes):
    return axes.get_legend().get_texts()


def test_pictures_are_drawn_on_axes_that_are_given():
    axes = Figure().subplots(1, 2)
    result = RESULTS[Verdict.FOUND]()

    assert result.plot(ax=axes[0]) is result.plot_deltas(ax=axes[1]) is axes[0].figure
    assert [len(ax.patches) for ax in axes] == [1, 1]
    assert axes[0].get_xscale() == axes[1].get_xscale() == "log"


def test_curves_are_judged_again_without_being_run():
    result = RESULTS[Verdict.FOUND]()
    other = Bounds(1.0, 3.0, 2.0, Verdict.FOUND, "of an older rule")
    older = lrrt.RangeTestResult(result.curves, {"sgd": other}, result.cases, result.ramp, result.seed)

    read = lrrt.RangeTestResult.from_json(older.to_json())
    assert lrrt.find_bounds(read.curves["sgd"], optimizer=read.cases["sgd"].kind) == result.bounds["sgd"]
