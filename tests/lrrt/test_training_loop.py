"""What is true of the compiled training loop, on real Keras models."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from lrrt import Loops
from lrrt.batches import as_batches
from lrrt.training_loop import TrainingLoop
from lrrt.variables import read

SPARSE = "sparse_categorical_crossentropy"


def digits(num_samples=330):
    from sklearn.datasets import load_digits

    data = load_digits()
    x, y = (data.images[:num_samples, ..., None] / 16).astype("float32"), data.target[:num_samples].astype("int32")
    cut = num_samples * 3 // 4
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])


def mlp_with_dropout():
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Flatten(),
            layers.Dense(16, "relu"),
            layers.Dropout(0.3),
            layers.Dense(10, "softmax"),
        ]
    )
    model.compile("sgd", SPARSE, metrics=["accuracy"])
    return model


def convnet_with_batch_normalisation():
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(4, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, "softmax"),
        ]
    )
    model.compile("sgd", SPARSE)
    return model


def plain_mlp():
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input((8, 8, 1)), layers.Flatten(), layers.Dense(16, "relu"), layers.Dense(10, "softmax")]
    )
    model.compile("sgd", SPARSE, metrics=["accuracy"])
    return model


def mlp_with_added_losses():
    layers = keras.layers

    class MeanSquare(layers.Layer):
        def call(self, x):
            self.add_loss(0.1 * keras.ops.mean(x**2))
            return x

    hidden = layers.Dense(16, "relu", activity_regularizer=keras.regularizers.L1(1e-3), kernel_regularizer="l2")
    model = keras.Sequential(
        [layers.Input((8, 8, 1)), layers.Flatten(), hidden, MeanSquare(), layers.Dense(10, "softmax")]
    )
    model.compile("sgd", SPARSE, metrics=["accuracy"])
    return model


def run(loops, optimizer, seed, *, rates=(0.01, 0.05, 0.02)):
    """Three epochs, each at its own rate: training losses, validation losses, final variables."""
    loop = loops.get(optimizer)
    loop.restart(loops.initial_weights(seed))
    rng = np.random.default_rng(seed)
    losses, val_losses = [], []
    for rate in rates:
        losses.append(loop.train([rate] * loop.batches.num_batches, rng).losses)
        val_losses.append(loop.validate())
    return np.concatenate(losses), np.array(val_losses), [np.array(value) for value in read(loop.model.variables)]


@pytest.mark.parametrize(
    ("build_model", "optimizer"), [(mlp_with_dropout, "adam"), (convnet_with_batch_normalisation, "sgd")]
)
def test_a_run_in_a_kept_loop_equals_one_in_a_new_loop_bit_for_bit(build_model, optimizer):
    train, validation = digits()
    kept = Loops(build_model, train, optimizers=["sgd", "adam"], validation_data=validation)
    run(kept, "adam", seed=1, rates=(0.1, 3.0))
    run(kept, "sgd", seed=2)
    new = Loops(build_model, train, optimizers=[optimizer], validation_data=validation)

    for got, expected in zip(run(kept, optimizer, seed=5), run(new, optimizer, seed=5), strict=True):
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_two_seeds_give_two_runs():
    train, validation = digits()
    loops = Loops(mlp_with_dropout, train, optimizers=["sgd"], validation_data=validation)

    assert run(loops, "sgd", seed=1)[0][0] != run(loops, "sgd", seed=2)[0][0]


def schedule():
    return keras.optimizers.schedules.ExponentialDecay(0.05, decay_steps=10, decay_rate=0.7)


@pytest.mark.parametrize(
    ("make_optimizer", "rate_at", "build_model"),
    [
        (lambda rate: keras.optimizers.SGD(rate, momentum=0.9), None, plain_mlp),
        (lambda rate: keras.optimizers.Adam(rate), lambda step: 0.05, mlp_with_added_losses),
    ],
    ids=["momentum and a schedule", "adam, and losses that layers add"],
)
def test_an_epoch_is_an_epoch_of_fit(make_optimizer, rate_at, build_model):
    """Without shuffling, losses, validation losses and final weights are those of `fit`, short last batch included."""
    train, validation = digits()
    assert len(train[0]) % 32
    source = build_model()
    weights = read(source.variables)
    loop = TrainingLoop(
        build_model(), make_optimizer(0.001), as_batches(train, 32), as_batches(validation, 32, name="validation_data")
    )
    loop.restart(weights)
    num_batches = loop.batches.num_batches
    table = [rate_at(step) if rate_at else float(schedule()(step)) for step in range(2 * num_batches)]
    epochs = [
        (loop.train(table[i * num_batches : (i + 1) * num_batches]).mean_loss(), loop.validate()) for i in range(2)
    ]

    source.compile(make_optimizer(0.05 if rate_at else schedule()), SPARSE, metrics=["accuracy"])
    history = source.fit(*train, batch_size=32, epochs=2, shuffle=False, validation_data=validation, verbose=0).history

    np.testing.assert_allclose([loss for loss, _ in epochs], history["loss"], rtol=2e-6)
    np.testing.assert_allclose([loss for _, loss in epochs], history["val_loss"], rtol=2e-6)
    for got, expected in zip(loop.model.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_allclose(got, expected, atol=2e-6)


def test_each_recorded_loss_is_its_own_batch_s_loss():
    """At a rate of almost nothing, each loss equals an independent evaluation of its batch, across epoch borders."""
    (x, y), _ = digits()
    model = plain_mlp()
    loop = TrainingLoop(model, keras.optimizers.SGD(), as_batches((x, y), 32))
    losses = loop.train([1e-12] * 20).losses

    by_sample = np.array(keras.losses.sparse_categorical_crossentropy(y, model(x)))
    expected = [by_sample[i : i + 32].mean() for i in range(0, len(x), 32)]
    np.testing.assert_allclose(losses, (expected * 3)[:20], rtol=1e-6)


def test_the_rates_applied_are_the_table():
    """A loss that is its weight makes each step lower the weight by exactly the rate."""

    class Sum(keras.Model):
        def __init__(self):
            super().__init__()
            self.w = self.add_weight(shape=(), initializer="zeros")

        def call(self, x):
            return x * 0.0 + self.w

    model = Sum()
    model.compile("sgd", loss=lambda y_true, y_pred: y_pred)
    x = np.ones((4, 1), "float32")
    loop = TrainingLoop(model, keras.optimizers.SGD(), as_batches((x, x), 2))
    rates = [0.5, 0.25, 2.0, 0.125]

    np.testing.assert_array_equal(loop.train(rates).losses, [0.0, -0.5, -0.75, -2.75])
    assert float(model.w.numpy()) == -2.875


def test_nothing_but_a_new_optimizer_or_batch_size_is_traced():
    train, validation = digits()
    loops = Loops(plain_mlp, train, optimizers=["sgd", "adam"], validation_data=validation)
    for seed, rates in enumerate([[0.1] * 3, [0.2] * 7, np.linspace(0.1, 1, 50)]):
        for optimizer in ("sgd", "adam"):
            for batch_size in (16, 32):
                loop = loops.get(optimizer, batch_size)
                loop.restart(loops.initial_weights(seed))
                loop.train(rates, np.random.default_rng(seed))

    assert loops.num_traces == {("sgd", 16): 1, ("sgd", 32): 1, ("adam", 16): 1, ("adam", 32): 1}


def test_the_validation_is_traced_once_for_all_optimizers():
    traced = []

    def error(y_true, y_pred):
        traced.append(y_pred.shape)
        return keras.ops.mean(y_pred)

    def build_model():
        model = plain_mlp()
        model.compile("sgd", SPARSE, metrics=[error])
        return model

    train, validation = digits()
    loops = Loops(build_model, train, optimizers=["sgd", "adam"], validation_data=validation)
    first, other = loops.get("sgd"), loops.get("adam")
    first.restart(loops.initial_weights(0))
    loss = first.validate()
    num_traced = len(traced)
    other.restart(loops.initial_weights(0))

    assert other.validate() == loss
    assert len(traced) == num_traced
    assert loops.get("sgd", 16).validate() == pytest.approx(loss)  # in batches of another size
    assert len(traced) > num_traced


def test_a_test_step_of_the_user_s_own_may_use_the_optimizer():
    class ShowsRate(keras.Sequential):
        def test_step(self, data):
            return {"loss": keras.ops.convert_to_tensor(self.optimizer.learning_rate)}

    def build_model():
        model = ShowsRate([keras.layers.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    x = np.ones((8, 2), "float32")
    loops = Loops(build_model, (x, x[:, :1]), optimizers=["sgd", "adam"], batch_size=4, validation_data=(x, x[:, :1]))
    for optimizer, rate in (("sgd", 0.25), ("adam", 0.5)):
        loop = loops.get(optimizer)
        loop.restart(loops.initial_weights(0))
        loop.train([rate])
        assert loop.validate() == rate


def test_a_loss_that_is_not_finite_is_recorded_and_ends_the_run():
    x = np.linspace(-1, 1, 64, dtype="float32")[:, None]
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    steps = TrainingLoop(model, keras.optimizers.SGD(), as_batches((x, 3 * x), 8)).train([1e4] * 100)

    assert 1 < len(steps.losses) < 100
    assert np.isfinite(steps.losses[:-1]).all()
    assert not np.isfinite(steps.losses[-1])
    assert not steps.is_finite


def test_a_custom_train_step_is_what_trains():
    class Doubled(keras.Model):
        """Learns from twice its loss and keeps a tracker of its own."""

        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1, kernel_initializer="zeros", use_bias=False)
            self.tracker = keras.metrics.Mean(name="loss")

        def call(self, x):
            return self.dense(x)

        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = 2 * tf.reduce_mean((self(x) - y) ** 2)
            self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
            self.tracker.update_state(loss)
            return {"loss": self.tracker.result()}

        @property
        def metrics(self):
            return [self.tracker]

    x = np.ones((6, 1), "float32")
    model = Doubled()
    model.compile("sgd", "mse")
    losses = TrainingLoop(model, keras.optimizers.SGD(), as_batches((x, x), 3)).train([0.125] * 3).losses

    np.testing.assert_allclose(losses, [2.0, 0.5, 0.125])


def test_a_dataset_gives_the_losses_that_its_arrays_give():
    (x, y), validation = digits()
    as_dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(32)
    losses = {}
    for name, data in (("arrays", (x, y)), ("dataset", as_dataset)):
        loops = Loops(plain_mlp, data, optimizers=["adam"], validation_data=validation)
        loop = loops.get("adam")
        loop.restart(loops.initial_weights(3))
        losses[name] = [loop.train([0.01] * 20).losses, [loop.validate()]]

    for got, expected in zip(losses["dataset"], losses["arrays"], strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_train_step_without_a_loss_is_named():
    class Silent(keras.Model):
        def call(self, x):
            return x

        def train_step(self, data):
            return {"accuracy": 1.0}

    model = Silent()
    model.compile("sgd", "mse")
    x = np.ones((4, 1), "float32")
    with pytest.raises(ValueError, match='must return a dict with the key "loss", got accuracy'):
        TrainingLoop(model, keras.optimizers.SGD(), as_batches((x, x), 2)).train([0.1])
