"""Models with a `train_step` of their own: without `call`, on x alone, with optimizers and metrics of their own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import lrrt

L = keras.layers
X = np.random.default_rng(0).random((48, 6)).astype("float32")
RAMP = lrrt.Ramp(1e-3, 0.1, 10)


class Autoencoder(keras.Model):
    """A variational autoencoder as Keras's example has it: no `call`, and a step that takes the bare x."""

    def __init__(self):
        super().__init__()
        inputs = keras.Input((6,))
        self.encoder = keras.Model(inputs, [L.Dense(2)(inputs), L.Dense(2)(inputs)])
        self.decoder = self.make_decoder()
        self.seed_generator = keras.random.SeedGenerator(1)
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.kl_loss_tracker = keras.metrics.Mean(name="kl_loss")

    def make_decoder(self):
        return keras.Sequential([L.Input((2,)), L.Dense(6)])

    @property
    def metrics(self):
        return [self.loss_tracker, self.kl_loss_tracker]

    def losses_of(self, data):
        assert not isinstance(data, tuple), "`fit` hands the bare x"
        mean, log_var = self.encoder(data)
        noise = keras.random.normal(tf.shape(mean), seed=self.seed_generator)
        decoded = self.decoder(mean + keras.ops.exp(log_var / 2) * noise)
        kl_loss = keras.ops.mean(-0.5 * (1 + log_var - mean**2 - keras.ops.exp(log_var)))
        return keras.ops.mean((data - decoded) ** 2) + kl_loss, kl_loss

    def shown(self, loss, kl_loss):
        self.loss_tracker.update_state(loss)
        self.kl_loss_tracker.update_state(kl_loss)
        return {metric.name: metric.result() for metric in self.metrics}

    def train_step(self, data):
        with tf.GradientTape() as tape:
            loss, kl_loss = self.losses_of(data)
        self.optimizer.apply(tape.gradient(loss, self.trainable_weights), self.trainable_weights)
        return self.shown(loss, kl_loss)

    def test_step(self, data):
        return self.shown(*self.losses_of(data))


class Lazy(Autoencoder):
    """Its layers are built by the first step."""

    def make_decoder(self):
        return keras.Sequential([L.Dense(4, "relu"), L.Dense(6)])


def build(kind, **arguments):
    model = kind()
    model.compile(optimizer=keras.optimizers.SGD(), **arguments)
    return model


def curve_of(build_model, data=X, **arguments):
    options = {"optimizers": ["sgd"], "ramp": RAMP, "batch_size": 16, "repeats": 1} | arguments
    return lrrt.range_test(build_model, data, **options).curves["sgd"][0]


def in_batches():
    return tf.data.Dataset.from_tensor_slices(X).batch(16)


@pytest.mark.parametrize(
    ("kind", "make_data"),
    [(Autoencoder, lambda: X), (Autoencoder, lambda: (X,)), (Lazy, lambda: X), (Lazy, in_batches)],
    ids=["x", "(x,)", "x, lazy", "batches, lazy"],
)
def test_a_model_without_call_is_trained_on_x_alone(kind, make_data):
    losses = curve_of(lambda: build(kind), make_data()).losses

    assert len(losses) == 10
    assert losses[-1] < losses[0]


def test_it_trains_as_fit_trains_it():
    trained = []
    for is_ours in (True, False):
        keras.utils.set_random_seed(0)
        model = build(Autoencoder)
        if is_ours:
            lrrt.Loops(model, in_batches(), optimizers=["sgd"]).get("sgd").train([0.1] * 6)
        else:
            model.optimizer.learning_rate = 0.1
            model.fit(in_batches(), epochs=2, shuffle=False, verbose=0)
        trained.append(model.get_weights())

    for got, expected in zip(*trained, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_it_is_trained_through_fit_where_it_runs_eagerly():
    notes = []
    watcher = lrrt.Watcher()
    watcher.on_note = notes.append
    losses = curve_of(lambda: build(Autoencoder, run_eagerly=True), watcher=watcher).losses

    assert "run_eagerly" in notes[0]
    assert losses[-1] < losses[0]


def test_a_metric_that_a_model_makes_itself_is_watched():
    for monitor in ("kl_loss", "val_kl_loss"):
        curve = curve_of(lambda: build(Autoencoder), monitor=monitor, validation_data=X)

        assert not curve.monitor.is_maximised
        assert min(curve.monitored) > 0


class Named(keras.Model):
    """Returns a value for which it has no metric."""

    def __init__(self):
        super().__init__()
        self.inner = L.Dense(6)

    def call(self, x):
        return self.inner(x)

    def train_step(self, data):
        logs = super().train_step((data, data))
        return logs | {"mean_loss": logs["loss"] / 2, "norm": keras.ops.reshape(logs["loss"] * 3, (1,))}


def test_a_value_that_a_step_returns_is_watched_where_its_direction_is_known():
    curve = curve_of(lambda: build(Named, loss="mse"), monitor="mean_loss")

    np.testing.assert_allclose(curve.monitored, np.array(curve.losses) / 2, rtol=1e-5)
    assert len(curve_of(lambda: build(Named, loss="mse"), monitor="norm", monitor_mode="min").lrs) == 10
    with pytest.raises(ValueError, match='`monitor_mode` must be "min" or "max" for \'norm\''):
        curve_of(lambda: build(Named, loss="mse"), monitor="norm")


@pytest.mark.parametrize("monitor", ["kind_accuracy", "val_size_mae", "val_kind_loss"])
def test_a_metric_of_a_named_output_is_watched(monitor):
    inputs = keras.Input((6,))

    def build_model():
        outputs = {"kind": L.Dense(2, "softmax", name="kind")(inputs), "size": L.Dense(1, name="size")(inputs)}
        model = keras.Model(inputs, outputs)
        losses = {"kind": "sparse_categorical_crossentropy", "size": "mse"}
        model.compile("sgd", losses, metrics={"kind": ["accuracy"], "size": ["mae"]})
        return model

    data = X, {"kind": (X[:, 0] > 0.5).astype("int32"), "size": X[:, :1]}
    curve = curve_of(build_model, data, validation_data=data, monitor=monitor)

    assert curve.monitor.is_maximised == ("accuracy" in monitor)
    assert len(set(curve.monitored)) > 1


class Adversarial(keras.Model):
    """Trains two networks with an optimizer each."""

    def __init__(self):
        super().__init__()
        self.generator, self.discriminator = L.Dense(6), L.Dense(1)

    def compile(self, g_optimizer, d_optimizer):
        super().compile()
        self.g_optimizer, self.d_optimizer = g_optimizer, d_optimizer

    def train_step(self, data):
        raise AssertionError("refused before it trains")


def test_a_model_with_two_optimizers_is_refused_in_one_sentence():
    model = Adversarial()
    model.compile(keras.optimizers.Adam(), keras.optimizers.Adam())
    with pytest.raises(ValueError, match=r"one optimizer of model.compile.*got Adversarial with 2 of its own: g_opt"):
        lrrt.range_test(model, X)
    assert not model.g_optimizer.built


@pytest.mark.parametrize("hold", [list, tuple, lambda made: dict(enumerate(made))])
def test_optimizers_that_a_model_holds_in_a_container_are_found(hold):
    model = build(Autoencoder)
    model.parts = hold([keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.01)])
    with pytest.raises(ValueError, match=r"got Autoencoder with 2 of its own: parts\."):
        lrrt.range_test(model, X)


def test_a_model_with_rates_for_groups_of_layers_is_refused_by_name():
    model = keras.Sequential([L.Input((6,)), L.Dense(4), L.Dense(6, name="last")])
    rates = keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.1), {"last/.*": keras.optimizers.SGD(0.01)})
    model.compile(keras.optimizers.MultiOptimizer(rates), "mse")
    with pytest.raises(ValueError, match=r"one optimizer for all of its layers, .* got one compiled with a MultiOpt"):
        lrrt.range_test(model, (X, X))


def test_a_step_of_its_own_without_a_test_step_that_fits_is_refused_before_it_trains():
    class Untested(keras.Sequential):
        def train_step(self, data):
            raise AssertionError("refused before it trains")

    def build_model():
        model = Untested([L.Input((6,)), L.Dense(6)])
        model.compile("sgd")
        return model

    with pytest.raises(
        ValueError, match=r"a test_step that takes the validation data .*Untested that raises .*No loss"
    ):
        lrrt.Loops(build_model, (X, X), optimizers=["sgd"], validation_data=(X, X))


ASIDE = []


class Aside(Autoencoder):
    """Its step uses an optimizer that is no attribute of the model."""

    def train_step(self, data):
        mine, self.optimizer = self.optimizer, ASIDE[0]
        try:
            return super().train_step(data)
        finally:
            self.optimizer = mine


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_a_model_that_no_step_moves_through_our_optimizer_is_said_instead_of_bounds(run_eagerly):
    ASIDE[:] = [keras.optimizers.SGD(0.01)]
    with pytest.raises(ValueError, match="but no step of Aside reached that: its train_step uses another"):
        curve_of(build(Aside, run_eagerly=run_eagerly))


def test_a_model_without_trainable_weights_is_refused():
    model = keras.Sequential([L.Input((6,)), L.Dense(6)])
    model.trainable = False
    model.compile("sgd", "mse")
    with (
        pytest.warns(UserWarning, match="does not have any trainable weights"),
        pytest.raises(ValueError, match="it has no trainable weights"),
    ):
        curve_of(model, (X, X))
