"""With `steps_per_epoch`, an epoch is a part of the data, and the next one goes on where it stopped."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from lrrt import Loops
from studies import StopTraining, Trainer, TrialCheckpoint, TrialConfig

X = np.random.default_rng(0).random((24, 3)).astype("float32")
Y = X @ np.array([[1.0], [-2.0], [0.5]], "float32")
CONFIG = TrialConfig("adam", "fixed", 0.05, 4)


def linear():
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1, kernel_initializer="ones")])
    model.compile("adam", "mse")
    return model


def arrays():
    return X, Y


def dataset():
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)


def endless():
    return dataset().repeat()


class Sequence(keras.utils.PyDataset):
    def __len__(self):
        return 6

    def __getitem__(self, number):
        return X[4 * number : 4 * number + 4], Y[4 * number : 4 * number + 4]


def trainer_of(data, epochs, **arguments):
    loops = Loops(linear, data, optimizers=["adam"], batch_size=4, validation_data=(X, Y), **arguments)
    return Trainer(loops, epochs=epochs, patience=None)


@pytest.mark.parametrize(
    "make", [arrays, *(pytest.param(make, marks=pytest.mark.long) for make in (dataset, Sequence))]
)
def test_epochs_that_are_halves_of_the_data_train_as_whole_ones_do(make):
    halves = trainer_of(make(), 4, steps_per_epoch=3).train(CONFIG).result
    whole = trainer_of(make(), 2).train(CONFIG).result

    assert halves.val_losses[1::2] == whole.val_losses
    assert np.mean(halves.train_losses[:2]) == pytest.approx(whole.train_losses[0], rel=1e-5)
    assert halves.num_steps == whole.num_steps


@pytest.mark.long
@pytest.mark.parametrize("make", [dataset, endless])
def test_parts_are_those_that_fit_trains_on(make):
    result = trainer_of(make(), 3, steps_per_epoch=4).train(CONFIG).result
    model = linear()
    model.optimizer.learning_rate = 0.05
    fitted = model.fit(endless(), epochs=3, steps_per_epoch=4, shuffle=False, validation_data=(X, Y), verbose=0).history

    assert result.val_losses == pytest.approx(fitted["val_loss"], rel=1e-4)
    assert result.train_losses == pytest.approx(fitted["loss"], rel=1e-4)


@pytest.mark.parametrize("make", [arrays, endless, Sequence])
def test_a_continued_trial_goes_on_in_the_data_where_it_was(make, tmp_path):
    trainer = trainer_of(make(), 4, steps_per_epoch=4)
    whole = trainer.train(CONFIG).result

    def stop(ended):
        if ended.epoch == 2:
            ended.checkpoint().save(tmp_path / "trial.npz")
            raise StopTraining

    with pytest.raises(StopTraining):
        trainer.train(CONFIG, on_epoch=stop)
    continued = trainer.train(CONFIG, resume=TrialCheckpoint.load(tmp_path / "trial.npz")).result

    assert continued.val_losses == whole.val_losses


def test_an_endless_generator_is_trained_on_in_epochs():
    def batches():
        while True:
            yield X[:4], Y[:4]

    result = trainer_of(batches(), 3, steps_per_epoch=5).train(CONFIG).result

    assert result.num_steps == 15


@pytest.mark.long
def test_callbacks_hear_how_many_steps_an_epoch_has_and_see_each_batch():
    seen = []

    class Counting(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((self.params["steps"], batch))

    loops = Loops(linear, endless(), optimizers=["adam"], validation_data=(X, Y), steps_per_epoch=2)
    Trainer(loops, epochs=2, callbacks=lambda: [Counting()]).train(CONFIG)

    assert seen == [(2, 0), (2, 1), (2, 0), (2, 1)]


def test_data_without_an_end_asks_for_the_steps_of_an_epoch():
    with pytest.raises(ValueError, match=r"got data without an end\. Set steps_per_epoch"):
        trainer_of(endless(), 2).train(CONFIG)


@pytest.mark.parametrize("steps", [0, 2.5, True, "all"])
def test_steps_that_are_no_count_are_refused(steps):
    with pytest.raises(ValueError, match="`steps_per_epoch` must be a whole number >= 1, or None for all"):
        trainer_of(arrays(), 2, steps_per_epoch=steps)
