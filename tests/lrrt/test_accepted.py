"""What a range test accepts: every kind of model, data, optimizer and monitor; each on a real Keras model."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf

import lrrt
from lrrt.batches import as_batches
from lrrt.generators import from_sequence
from lrrt.training_loop import TrainingLoop
from lrrt.variables import read

L = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(70, 6)).astype("float32")
Y = (X @ RNG.normal(size=(6, 3))).argmax(axis=1)
SPARSE = "sparse_categorical_crossentropy"
SHORT = lrrt.Ramp(1e-5, 1.0, 40)


def compiled(*layers, optimizer="sgd", loss=SPARSE, **arguments):
    model = keras.Sequential(list(layers))
    model.compile(optimizer, loss, **arguments)
    return model


def dense(**arguments):
    return compiled(L.Input((6,)), L.Dense(8, "relu"), L.Dense(3, "softmax"), **arguments)


def first_losses(build_model, data=(X, Y), *, optimizers=("sgd",), **arguments):
    """Run a short test; return the losses of its first case's first curve."""
    arguments = {"ramp": SHORT, "batch_size": 16, "repeats": 1} | arguments
    result = lrrt.range_test(build_model, data, optimizers=optimizers, **arguments)
    losses = next(iter(result.curves.values()))[0].losses
    assert len(losses) >= 5
    assert np.isfinite(losses).all()
    return np.array(losses)


@pytest.fixture(scope="module")
def dense_losses():
    return first_losses(dense)


def two_inputs():
    a, b = keras.Input((4,), name="a"), keras.Input((2,), name="b")
    hidden = L.Dense(8, "relu")(L.Concatenate()([a, b]))
    model = keras.Model(
        {"a": a, "b": b}, {"kind": L.Dense(3, "softmax", name="kind")(hidden), "size": L.Dense(1, name="size")(hidden)}
    )
    model.compile("sgd", {"kind": SPARSE, "size": "mse"})
    return model


class Subclassed(keras.Model):
    """Built by its first call only."""

    def __init__(self):
        super().__init__()
        self.inner = L.Dense(8, "relu")
        self.outer = L.Dense(3, "softmax")

    def call(self, x):
        return self.outer(self.inner(x))


def subclassed():
    model = Subclassed()
    model.compile("sgd", SPARSE, metrics=["accuracy"])
    return model


def unbuilt():
    return compiled(L.Dense(8, "relu"), L.Dense(3, "softmax"))


def attention():
    inputs = keras.Input((6,))
    tokens = L.Reshape((6, 1))(inputs)
    model = keras.Model(inputs, L.Dense(3, "softmax")(L.Flatten()(L.MultiHeadAttention(2, 4)(tokens, tokens))))
    model.compile("sgd", SPARSE)
    return model


@pytest.mark.parametrize(
    "build_model",
    [
        subclassed,
        unbuilt,
        attention,
        lambda: compiled(L.Input((6,)), L.Reshape((6, 1)), L.GRU(4), L.Dense(3, "softmax")),
        lambda: dense(loss=lambda y, p: keras.ops.mean(keras.losses.sparse_categorical_crossentropy(y, p))),
    ],
    ids=["subclassed", "unbuilt", "attention", "recurrent", "custom loss"],
)
def test_models_of_every_kind_are_tested(build_model):
    first_losses(build_model)


def test_an_embedding_is_trained_on_whole_numbers():
    tokens = RNG.integers(0, 20, (70, 5))
    model = compiled(L.Input((5,), dtype="int32"), L.Embedding(20, 4), L.Flatten(), L.Dense(3, "softmax"))

    first_losses(model, (tokens, Y))


def test_several_inputs_and_outputs_come_as_dicts():
    y = {"kind": Y, "size": X[:, :1]}

    first_losses(two_inputs, ({"a": X[:, :4], "b": X[:, 4:]}, y))


def test_several_inputs_and_outputs_come_as_tuples():
    a, b = keras.Input((4,)), keras.Input((2,))
    both = L.Concatenate()([a, b])
    model = keras.Model([a, b], [L.Dense(3, "softmax")(both), L.Dense(1)(both)])
    model.compile("sgd", [SPARSE, "mse"])

    first_losses(model, ((X[:, :4], X[:, 4:]), (Y, X[:, :1])))


def test_lists_of_numbers_are_arrays():
    for taken, expected in zip(as_batches((X.tolist(), Y.tolist()), 16).arrays, (X, Y), strict=True):
        np.testing.assert_array_equal(taken, expected)


def test_sample_weights_weigh(dense_losses):
    halves = np.full(len(X), 0.5, "float32")

    np.testing.assert_allclose(first_losses(dense, (X, Y, halves))[:3], dense_losses[:3] / 2, rtol=1e-3)


def test_class_weights_are_sample_weights_by_class():
    weights = {0: 1.0, 1: 3.0, 2: 0.5}
    by_sample = np.array([weights[label] for label in Y], "float32")

    np.testing.assert_array_equal(first_losses(dense, class_weight=weights), first_losses(dense, (X, Y, by_sample)))


@pytest.mark.parametrize(
    ("data", "weights", "message"),
    [
        ((X, Y), {0: 1.0}, r"a weight for each class of data, got none for \[1, 2\]"),
        ((X,), {0: 1.0}, "must be given with labels in one array"),
        (
            tf.data.Dataset.from_tensor_slices((X, Y)).batch(8),
            {0: 1.0},
            r"each class of the first batch of data, got none for \[1, 2\]",
        ),
    ],
)
def test_class_weights_that_fit_nothing_are_refused(data, weights, message):
    with pytest.raises(ValueError, match=message):
        first_losses(dense, data, class_weight=weights)


class Squares(keras.utils.PyDataset):
    def __init__(self):
        super().__init__()
        self.num_epochs = 0

    def __len__(self):
        return 5

    def __getitem__(self, number):
        return X[14 * number : 14 * (number + 1)], Y[14 * number : 14 * (number + 1)]

    def on_epoch_end(self):
        self.num_epochs += 1


@pytest.mark.parametrize("workers", [1, 2])
def test_an_epochs_last_batch_is_what_it_was_before_the_end_of_the_epoch(workers):
    """A `PyDataset` may change in place, at the end of an epoch, what its batches are views of."""

    class Growing(keras.utils.PyDataset):
        x = np.zeros((12, 2), np.float32)

        def __len__(self):
            return 3

        def __getitem__(self, number):
            return self.x[4 * number : 4 * (number + 1)]

        def on_epoch_end(self):
            self.x += 1

    stream = from_sequence(Growing(workers=workers), "data").open_stream(6, None)

    assert [batch.numpy().mean() for batch in stream] == [0, 0, 0, 1, 1, 1]


def batches_for_ever():
    while True:
        for start in range(0, 70, 16):
            yield X[start : start + 16], Y[start : start + 16]


def test_a_dataset_without_an_end_is_tested():
    first_losses(dense, tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(70, seed=0).batch(16).repeat())


def test_a_dataset_shorter_than_the_ramp_is_cycled():
    assert len(first_losses(dense, tf.data.Dataset.from_tensor_slices((X, Y)).batch(16))) == 40


def test_a_dataset_of_unknown_length_is_counted():
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).filter(lambda x, y: y >= 0).batch(16)

    assert lrrt.Loops(dense, dataset, optimizers=["sgd"]).batches.num_batches == 5


def test_a_py_dataset_is_tested_and_told_of_its_epochs():
    data = Squares()
    first_losses(dense, data)

    assert data.num_epochs in (8, 16)  # if the curve leaves doubt, its batches' losses before training are measured


def test_a_generator_is_tested_with_what_it_yields_in_order():
    losses = first_losses(dense, batches_for_ever(), ramp=lrrt.Ramp(1e-12, 1e-11, 10))

    np.testing.assert_allclose(losses[:5], losses[5:], rtol=1e-5)


def test_a_generator_that_ends_before_the_ramp_is_refused():
    few = ((X[:16], Y[:16]) for _ in range(12))
    with pytest.raises(ValueError, match="data must last for 20 more steps, but it ended before"):
        first_losses(dense, few)


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        ((X, Y, Y, Y), ValueError, r"must be \(x,\), \(x, y\) or \(x, y, sample_weight\), got 4 parts"),
        (("text", Y), TypeError, "first batch of data must hold arrays"),
        ((X, Y[:-1]), ValueError, "first batch of data must have one length"),
    ],
)
def test_batches_of_an_unknown_kind_are_refused(batch, error, message):
    with pytest.raises(error, match=message):
        first_losses(dense, iter([batch]))


def test_a_short_last_batch_is_a_batch_of_its_own():
    loop = lrrt.Loops(dense, (X, Y), optimizers=["sgd"], batch_size=16).get("sgd")

    assert loop.train([1e-3] * 11).sizes.tolist() == [16, 16, 16, 16, 6] * 2 + [16]


def test_mixed_precision_is_trained_with_a_scaled_loss():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = dense(optimizer="adam")
    finally:
        keras.mixed_precision.set_global_policy("float32")
    loop = lrrt.Loops(model, (X, Y), optimizers=["adam"], batch_size=16).get("adam")
    losses = loop.train(lrrt.Ramp(1e-5, 0.1, 60).rates()).losses

    assert isinstance(loop.optimizer, keras.optimizers.LossScaleOptimizer)
    assert np.isfinite(losses).all()
    assert min(losses[-15:]) < losses[0]


def test_the_rate_climbs_once_per_update_where_gradients_are_accumulated():
    """Three batches make an update; a loss that is its weight falls by exactly the rate of each update."""

    class Sum(keras.Model):
        def __init__(self):
            super().__init__()
            self.w = self.add_weight(shape=(), initializer="zeros")

        def call(self, x):
            return x * 0.0 + self.w

    model = Sum()
    model.compile("sgd", loss=lambda y_true, y_pred: y_pred)
    ones = np.ones((12, 1), "float32")
    ramp = lrrt.Ramp(0.25, 4.0, 5)
    optimizer = keras.optimizers.SGD(gradient_accumulation_steps=3)
    result = lrrt.range_test(model, (ones, ones), optimizers=[optimizer], ramp=ramp, batch_size=2, repeats=1)

    np.testing.assert_allclose(result.curves["sgd"][0].losses, [0.0, -0.25, -0.75, -1.75, -3.75])


@pytest.mark.parametrize(
    "optimizer",
    [
        keras.optimizers.Adam(use_ema=True),
        keras.optimizers.AdamW(weight_decay=0.01),
        keras.optimizers.SGD(clipnorm=0.5),
        keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 100), momentum=0.9),
        keras.optimizers.Lion(),
    ],
    ids=["use_ema", "weight decay", "clipnorm", "a schedule attached", "lion"],
)
def test_optimizers_of_every_kind_are_tested_and_left_alone(optimizer):
    config = optimizer.get_config()
    first_losses(dense, optimizers=[optimizer])

    assert optimizer.get_config() == config
    assert not optimizer.built


def test_one_optimizer_needs_no_list(dense_losses):
    np.testing.assert_array_equal(first_losses(dense, optimizers=keras.optimizers.SGD()), dense_losses)


def test_a_linear_ramp_climbs_by_a_constant_amount():
    ramp = lrrt.Ramp(0.01, 0.2, 20, "linear")
    curve = lrrt.range_test(dense, (X, Y), optimizers=["sgd"], ramp=ramp, batch_size=16, repeats=1).curves["sgd"][0]

    np.testing.assert_allclose(curve.lrs, np.linspace(0.01, 0.2, 20)[: len(curve.lrs)])


def test_frozen_layers_stay_frozen():
    model = dense()
    model.layers[0].trainable = False
    loops = lrrt.Loops(model, (X, Y), optimizers=["sgd"], batch_size=16)
    frozen, free = (np.array(layer.kernel) for layer in model.layers)
    loops.get("sgd").train([0.1] * 10)

    np.testing.assert_array_equal(model.layers[0].kernel, frozen)
    assert np.abs(np.array(model.layers[1].kernel) - free).max() > 1e-3
    assert [layer.trainable for layer in model.layers] == [False, True]


@pytest.mark.long
def test_two_replicas_train_as_one_device_does():
    """On two virtual devices, each with half of every batch, losses are those of one device, to rounding."""
    program = """
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras, lrrt
x = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
y = (x[:, 0] > 0).astype("int32")
def build():
    layers = [keras.layers.Input((6,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2, "softmax")]
    model = keras.Sequential(layers)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
def record():
    loops = lrrt.Loops(build, (x, y), optimizers=["adam"], batch_size=16, validation_data=(x[:30], y[:30]))
    loop = loops.get("adam")
    loop.restart(loops.initial_weights(3))
    loop.metrics.begin()
    losses = loop.train(np.geomspace(1e-4, 0.1, 20), np.random.default_rng(0)).losses
    accuracy = float(loop.metrics.read()["accuracy"])
    return [*losses, accuracy, loop.validate()], loop.model.distribute_strategy.num_replicas_in_sync
one, _ = record()
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    two, num_replicas = record()
assert num_replicas == 2
np.testing.assert_allclose(two, one, rtol=2e-4)
print("equal")
"""
    import subprocess
    import sys

    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert shown.stdout.endswith("equal\n"), shown.stderr


@pytest.mark.parametrize(("monitor", "is_maximised", "every"), [("val_loss", False, 5), ("accuracy", True, 1)])
def test_what_is_watched_can_be_a_metric_or_validation_data(monitor, is_maximised, every):
    result = lrrt.range_test(
        lambda: dense(metrics=["accuracy"]),
        (X, Y),
        optimizers=["adam"],
        validation_data=(X, Y),
        monitor=monitor,
        batch_size=16,
        ramp=lrrt.Ramp(1e-5, 10.0, 120),
    )
    curve = result.curves["adam"][0]

    assert (curve.monitor.is_maximised, curve.monitor.every) == (is_maximised, every)
    assert len(curve.monitored) == len(curve.losses)
    assert len(set(curve.monitored[:5])) == (1 if every == 5 else len(set(curve.monitored[:5])))
    assert result.bounds["adam"].low is not None
    (axes,) = result.plot().axes
    watched, faint = ([line for line in axes.lines if line.get_alpha() == alpha] for alpha in (None, 0.25))
    assert axes.get_ylabel() == f"{monitor} (faint: training loss)"
    assert watched[0].get_xdata()[1] == pytest.approx(curve.lrs[every])
    assert [len(line.get_xdata()) for line in faint] == [len(found.lrs) for found in result.curves["adam"]]
    assert lrrt.RangeTestResult.from_json(result.to_json()) == result


def test_a_watched_metric_is_that_of_the_batch_that_was_trained_on():
    """The loss as a metric is the loss."""
    metric = keras.metrics.SparseCategoricalCrossentropy(name="again")
    result = lrrt.range_test(
        lambda: dense(metrics=[metric]),
        (X, Y),
        optimizers=["sgd"],
        monitor="again",
        batch_size=16,
        ramp=SHORT,
        repeats=1,
    )
    curve = result.curves["sgd"][0]

    assert not curve.monitor.is_maximised
    np.testing.assert_allclose(curve.monitored, curve.losses, rtol=1e-5)


def test_a_watched_validation_loss_is_that_of_evaluate():
    model = dense()
    loops = lrrt.Loops(model, (X, Y), optimizers=["sgd"], validation_data=(X, Y), monitor="val_loss", batch_size=16)
    before = model.evaluate(X, Y, verbose=0)
    steps = loops.get("sgd").train([0.05] * 6)

    np.testing.assert_allclose(steps.monitored[:5], steps.monitored[0])
    assert steps.monitored[0] != pytest.approx(before)  # it is measured after the first update
    assert steps.monitored[5] == pytest.approx(model.evaluate(X, Y, verbose=0), rel=1e-5)


def test_watching_validation_data_changes_nothing_of_the_training():
    def losses(**arguments):
        def build():
            return compiled(L.Input((6,)), L.BatchNormalization(), L.Dropout(0.3), L.Dense(3, "softmax"))

        return first_losses(build, validation_data=(X[::-1], Y[::-1]), **arguments)

    np.testing.assert_array_equal(losses(), losses(monitor="val_loss"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"monitor": "val_loss"}, "`monitor='val_loss'` must have `validation_data`, got none"),
        ({"monitor": "auc"}, "must be a loss or a compiled metric, got 'auc'; compiled are accuracy"),
        ({"monitor": "accuracy", "monitor_mode": "up"}, '`monitor_mode` must be "auto", "min" or "max", got \'up\''),
        ({"confirm_steps": 5}, "`confirm_steps` must come with `validation_data`, got none"),
        ({"confirm_steps": -1}, "`confirm_steps` must be a whole number >= 0, got -1"),
        ({"batch_sizes": [16, 1000]}, "got batch_size=1000 for 70 samples"),
        (
            {"batch_sizes": [8, 16], "data": tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)},
            r"`batch_sizes` must come with data in arrays, got \[8, 16\] for data in batches of its own",
        ),
    ],
)
def test_what_cannot_be_watched_or_compared_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        arguments = {"data": (X, Y), "batch_size": 16} | arguments
        lrrt.range_test(lambda: dense(metrics=["accuracy"]), ramp=SHORT, **arguments)


def test_a_loss_that_is_no_scalar_is_refused():
    class Vector(Subclassed):
        def train_step(self, data):
            return {"loss": keras.ops.ones((3,))}

    model = Vector()
    model.compile("sgd", SPARSE)
    with pytest.raises(ValueError, match=r'"loss" of a train_step or test_step must be a scalar, got the shape \(3,\)'):
        first_losses(model)


def test_batch_sizes_and_hyperparameters_are_compared_in_one_result():
    def build(hp):
        return compiled(L.Input((6,)), L.Dense(hp.Int("units", 4, 64), "relu"), L.Dense(3, "softmax"))

    result = lrrt.range_test(
        build,
        (X, Y),
        optimizers=["sgd"],
        batch_sizes=[8, 32],
        hyperparameters=[{"units": 4}, {"units": 32}],
        repeats=1,
    )

    assert list(result.bounds) == [f"sgd, batch_size={size}, units={units}" for units in (4, 32) for size in (8, 32)]
    assert result.bounds_for("sgd", 32) == result.bounds["sgd, batch_size=32, units=4"]
    assert len(result.plot().axes[0].get_legend().get_texts()) == 4


def test_a_hyperparameter_that_the_model_does_not_ask_for_is_refused():
    def build(hp):
        return compiled(L.Input((6,)), L.Dense(hp.Int("units", 3, 8)), L.Dense(3, "softmax"))

    with pytest.raises(ValueError, match=r"must be those that build\(hp\) asks for, got width; it asks for units"):
        first_losses(build, hyperparameters=[{"width": 3}])


def test_a_confirmed_range_is_narrower_and_inside():
    loops = lrrt.Loops(dense, (X, Y), optimizers=["adam"], batch_size=16, validation_data=(X, Y))
    plain, confirmed = (
        lrrt.run_range_test(loops, lrrt.Ramp(num_steps=60), repeats=1, confirm_steps=steps).bounds["adam"]
        for steps in (0, 20)
    )

    assert plain.low <= confirmed.low < confirmed.high <= plain.high
    assert confirmed.decades < plain.decades


def test_optimizers_are_ordered_by_what_they_reached_with_a_caveat():
    result = lrrt.range_test(dense, (X, Y), optimizers=["sgd", "adam"], batch_size=16)
    standings = result.standings()
    shown = str(result)

    assert standings[0].best <= standings[1].best
    assert shown.splitlines()[1].split()[0] == standings[0].label
    assert "not which ends lowest in a full training" in shown
    assert "<svg" in result._repr_html_()


def test_a_label_is_escaped_in_html():
    result = lrrt.range_test(dense, (X, Y), optimizers={"<b>": "sgd"}, ramp=SHORT, batch_size=16, repeats=1)

    assert "<td>&lt;b&gt;</td>" in result._repr_html_()


def everything_of(model):
    return [
        *(np.array(value) for value in read([*model.variables, *model.metrics_variables, *model.optimizer.variables])),
        [layer.trainable for layer in model.layers],
        model.stop_training,
        model.optimizer.get_config(),
        random.getstate(),
        np.random.get_state()[1].tolist(),
    ]


@pytest.fixture(scope="module")
def trained():
    """A model that has been trained, which each test leaves as it found it."""
    schedule = keras.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9)
    model = compiled(
        L.Input((6,)), L.BatchNormalization(), L.Dropout(0.2), L.Dense(3, "softmax"),
        optimizer=keras.optimizers.Adam(schedule), metrics=["accuracy"],
    )  # fmt: skip
    model.layers[0].trainable = False
    model.fit(X, Y, verbose=0)
    return model


def test_everything_of_a_model_is_left_as_found(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before, optimizer = everything_of(trained), trained.optimizer
    lrrt.range_test(trained, (X, Y), optimizers=["sgd", "adam"], ramp=SHORT, batch_size=16, repeats=1)

    assert trained.optimizer is optimizer
    for got, expected in zip(everything_of(trained), before, strict=True):
        np.testing.assert_equal(got, expected)
    assert list(tmp_path.iterdir()) == []


def test_global_generators_are_left_as_found():
    """Python's, NumPy's, TensorFlow's and Keras's go on as if there had been no range test."""

    def draw():
        return random.random(), np.random.random(), *(float(make.uniform(())) for make in (tf.random, keras.random))

    def drawn(test_between):
        keras.utils.set_random_seed(5)
        first = draw()
        if test_between:
            first_losses(lambda: compiled(L.Input((6,)), L.Dropout(0.2), L.Dense(3, "softmax")))
        return first, draw()

    assert drawn(test_between=True) == drawn(test_between=False)


def test_everything_is_left_as_found_after_ctrl_c(trained, monkeypatch):
    before = everything_of(trained)
    train = TrainingLoop.train

    def interrupted(self, *arguments, **named):
        train(self, *arguments, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(TrainingLoop, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lrrt.range_test(trained, (X, Y), ramp=SHORT, batch_size=16)

    for got, expected in zip(everything_of(trained), before, strict=True):
        np.testing.assert_equal(got, expected)
