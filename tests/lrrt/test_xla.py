"""What is true of a loop that XLA trains, beside TensorFlow's graph, on real Keras models."""

import keras
import numpy as np
import pytest

import lrrt
from lrrt import Loops, jit_choice, xla_program
from lrrt.jit_choice import choose
from lrrt.variables import read

NUM_SAMPLES, BATCH_SIZE = 70, 16  # four full batches and a short one
RATES = np.full(13, 0.01, np.float32)


def data(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(NUM_SAMPLES, 6)).astype("float32")
    return x, (x[:, 0] > x[:, 1]).astype("int32"), rng.uniform(0.5, 2.0, NUM_SAMPLES).astype("float32")


def validation_data():
    """It ends with a short batch, too."""
    return tuple(part[:67] for part in data(1))


def model_of(*hidden):
    model = keras.Sequential([keras.layers.Input((6,)), *hidden, keras.layers.Dense(2, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    return model


def with_batch_normalisation():
    return model_of(keras.layers.Dense(8, "relu"), keras.layers.BatchNormalization())


def loop_of(build, optimizer="sgd", dataset=None, validation=None):
    loops = Loops(build, dataset or data(), optimizers=[optimizer], batch_size=BATCH_SIZE, validation_data=validation)
    return loops.get(optimizer), loops.initial_weights(0)


def trained(loop, weights, rates=RATES, *, uses_xla):
    loop.uses_xla = uses_xla
    loop.restart(weights)
    loop.metrics.begin()
    steps = loop.train(rates, np.random.default_rng(0))
    return steps, loop.snapshot(), {name: float(value) for name, value in loop.metrics.read().items()}


@pytest.fixture(scope="module")
def normalised():
    """A loop with BatchNorm, sample weights, a metric and short batches, and its initial weights."""
    loop, weights = loop_of(with_batch_normalisation, "adam", validation=validation_data())
    assert loop.xla.reason == ""
    return loop, weights


def test_xla_trains_as_the_graph_does_to_rounding(normalised):
    steps, weights, metrics = trained(*normalised, uses_xla=False)
    others, other_weights, other_metrics = trained(*normalised, uses_xla=True)

    np.testing.assert_allclose(others.losses, steps.losses, rtol=1e-4)
    assert others.sizes.tolist() == steps.sizes.tolist() == [16, 16, 16, 16, 6] * 2 + [16, 16, 16]
    assert other_metrics == pytest.approx(metrics, rel=1e-4)
    for value, other in zip(weights, other_weights, strict=True):
        np.testing.assert_allclose(other, value, rtol=1e-3, atol=1e-5)


def test_a_training_under_xla_repeats_itself_bit_for_bit(normalised):
    (steps, weights, _), (again, weights_again, _) = (trained(*normalised, uses_xla=True) for _ in range(2))

    assert steps.losses.tolist() == again.losses.tolist()
    assert all(np.array_equal(one, other) for one, other in zip(weights, weights_again, strict=True))


@pytest.mark.parametrize("broken", [2, 4, 6])  # inside a run of full batches, at the short batch, in the next run
def test_xla_stops_at_the_step_whose_loss_is_not_finite(normalised, broken):
    rates = RATES.copy()
    rates[broken - 1] = np.inf

    steps, *_ = trained(*normalised, rates, uses_xla=True)

    assert len(steps.losses) == broken + 1
    assert np.isfinite(steps.losses[:broken]).all()
    assert not np.isfinite(steps.losses[broken])


def test_a_loop_that_does_not_stop_at_once_records_nothing_after_a_loss_that_is_not_finite():
    """As on a GPU, where the look at each loss would cost more than the steps that are trained in vain."""
    loops = Loops(with_batch_normalisation, data(), optimizers=["adam"], batch_size=BATCH_SIZE)
    loop = loops.through_fit("adam").loop
    loop.stops_at_once = False
    rates = RATES.copy()
    rates[2] = np.inf

    steps, *_ = trained(loop, loops.initial_weights(0), rates, uses_xla=False)

    assert len(steps.losses) == len(steps.sizes) == len(steps.monitored) == 4
    assert np.isfinite(steps.losses[:3]).all()


def test_xla_compiles_once_for_runs_of_any_length(normalised):
    loop, _ = normalised
    for num_steps in (1, 3, 13):
        trained(*normalised, RATES[:num_steps], uses_xla=True)

    assert loop.xla.num_traces == 1


def epoch_of(loop, weights, rates=RATES[:5]):
    loop.uses_xla = True
    loop.restart(weights)
    return loop.epoch(rates, np.random.default_rng(0))


@pytest.fixture
def in_two_calls(monkeypatch):
    """A loop whose epoch takes two calls, and its initial weights."""
    monkeypatch.setattr(xla_program, "MOST_STEPS", 2)
    return loop_of(model_of, validation=validation_data())


@pytest.mark.parametrize("how", ["normalised", "in_two_calls"])
def test_an_epoch_under_xla_shows_what_training_and_validation_by_the_graph_show(how, request):
    loop, weights = request.getfixturevalue(how)
    steps, _, metrics = trained(loop, weights, RATES[:5], uses_xla=False)
    validation = {name: float(value) for name, value in loop.validation_logs().items()}
    assert loop.xla.reason == ""
    epoch_of(loop, weights)  # what an epoch leaves behind must not matter to the next

    epoch = epoch_of(loop, weights)

    assert loop.trains_epochs
    np.testing.assert_allclose(epoch.steps.losses, steps.losses, rtol=1e-4)
    assert epoch.steps.sizes.tolist() == [16, 16, 16, 16, 6]
    assert {name: float(value) for name, value in epoch.training.items()} == pytest.approx(metrics, rel=1e-4)
    assert {name: float(value) for name, value in epoch.validation.items()} == pytest.approx(validation, rel=1e-4)
    assert loop.xla.num_traces == 1


def test_an_epoch_under_xla_whose_loss_is_not_finite_is_not_validated(normalised):
    rates = RATES[:5].copy()
    rates[3] = np.inf  # so the loss of the short batch, the last one, is not finite

    epoch = epoch_of(*normalised, rates)

    assert len(epoch.steps.losses) == 5
    assert not epoch.steps.is_finite
    assert epoch.validation == {}


def test_xla_trains_a_model_that_it_cannot_validate():
    import tensorflow as tf

    class InPython(keras.layers.Layer):
        def call(self, x, training=False):
            return x if training else x + tf.ensure_shape(tf.numpy_function(np.zeros_like, [x], tf.float32), x.shape)

    loop, weights = loop_of(lambda: model_of(InPython()), validation=validation_data())

    assert loop.xla.reason == ""
    assert len(trained(loop, weights, uses_xla=True)[0].losses) == len(RATES)
    assert not loop.trains_epochs


def test_dropout_under_xla_drops_as_much_and_repeats_itself():
    class Kept(keras.Model):
        """Its loss is the mean of what dropout leaves of ones, which it scales up so that it is 1 in the long run."""

        def __init__(self):
            super().__init__()
            self.dropout = keras.layers.Dropout(0.25)
            self.scale = self.add_weight(shape=(), initializer="ones")

        def call(self, x, training=False):
            return self.scale * self.dropout(keras.ops.ones((keras.ops.shape(x)[0], 2000)), training=training)

    def build():
        model = Kept()
        model.compile("sgd", loss=lambda y, shown: keras.ops.mean(shown, axis=-1))
        return model

    loop, weights = loop_of(build, dataset=data()[:2])
    assert loop.xla.reason == ""
    (steps, *_), (again, *_) = (trained(loop, weights, 0 * RATES, uses_xla=True) for _ in range(2))

    assert steps.losses.tolist() == again.losses.tolist()
    assert len(set(steps.losses.tolist())) == len(RATES)  # each step draws anew
    assert steps.losses == pytest.approx(1.0, abs=0.03)


def test_what_xla_cannot_compile_is_trained_by_the_graph_with_a_note():
    import tensorflow as tf

    class InPython(keras.layers.Layer):
        def call(self, x):
            return x + tf.ensure_shape(tf.numpy_function(np.zeros_like, [x], tf.float32), x.shape)

    loop, weights = loop_of(lambda: model_of(InPython()))
    before = [value.numpy() for value in read(loop.variables)]

    choice = choose(loop, True, weights, 13)

    assert not choice.uses_xla
    assert "XLA cannot compile the model" in choice.reason
    assert all(np.array_equal(one, other) for one, other in zip(before, read(loop.variables), strict=True))
    assert len(trained(loop, weights, uses_xla=choice.uses_xla)[0].losses) == len(RATES)


def test_text_is_trained_by_the_graph_and_a_watcher_hears_why():
    texts = np.array(["good film", "bad film"] * 20)

    def build():
        words = keras.layers.TextVectorization(max_tokens=10, output_sequence_length=2, vocabulary=["good", "bad"])
        layers = [words, keras.layers.Embedding(10, 2), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
        model = keras.Sequential([keras.layers.Input((1,), dtype="string"), *layers])
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model

    notes = []

    class Listener(lrrt.Watcher):
        def on_note(self, note):
            notes.append(note)

    labels = np.array([0, 1] * 20)
    result = lrrt.range_test(
        build, (texts[:, None], labels), optimizers=["sgd"], repeats=1, jit=True, watcher=Listener()
    )

    assert len(result.curves["sgd"][0].losses) > 50
    assert notes == ["sgd: TensorFlow's graph trains, not XLA: the data is on disk, or it is text, ragged or sparse"]


def test_a_range_test_under_xla_finds_the_bounds_of_one_without():
    ramp = lrrt.Ramp(1e-4, 10.0, 60)
    with_xla, without = (
        lrrt.range_test(model_of, data(), optimizers=["adam"], ramp=ramp, batch_size=16, repeats=1, jit=jit)
        for jit in (True, False)
    )

    assert with_xla.bounds["adam"].low == pytest.approx(without.bounds["adam"].low, rel=1e-2)
    assert with_xla.bounds["adam"].high == pytest.approx(without.bounds["adam"].high, rel=1e-2)


def test_auto_does_not_compile_for_a_short_training():
    loop, weights = loop_of(model_of)

    choice = choose(loop, "auto", weights, jit_choice.LEAST_STEPS - 1)

    assert choice == jit_choice.JitChoice(False)
    assert loop.xla.num_traces == 0


@pytest.mark.parametrize("slow", [lambda: keras.layers.Dropout(0.5), lambda: keras.layers.Conv1D(2, 3)])
def test_auto_does_not_compile_what_xla_makes_slower_on_a_cpu(slow):
    layers = keras.layers
    loop, weights = loop_of(lambda: model_of(layers.Reshape((6, 1)), slow(), layers.Flatten()))

    assert not choose(loop, "auto", weights, 10**9).uses_xla
    assert loop.xla.num_traces == 0


def test_auto_chooses_by_steps_that_it_measures(normalised, monkeypatch):
    monkeypatch.setattr(jit_choice, "GAIN", 0.0)
    gains = choose(*normalised[:1], "auto", normalised[1], 10**9)
    monkeypatch.setattr(jit_choice, "GAIN", 1e6)
    monkeypatch.setattr(jit_choice, "HOPE", 1e9)
    monkeypatch.setattr(jit_choice, "COMPILES", 0.0)
    loses = choose(*normalised[:1], "auto", normalised[1], 10**9)

    assert gains.uses_xla
    assert "XLA trains: a step takes" in gains.reason
    assert not loses.uses_xla


def test_jit_must_be_known():
    with pytest.raises(ValueError, match=r'`jit` must be True, False or "auto", got \'fast\''):
        lrrt.range_test(with_batch_normalisation, data(), jit="fast")
