"""A variational autoencoder as Keras's own example has it: no `call`, a `train_step` of its own, x without labels.

lrrt init --example autoencoder && lrrt run autoencoder.toml
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from sklearn.datasets import load_digits

NUM_PIXELS, NUM_LATENT = 64, 2


@keras.saving.register_keras_serializable("examples")
class VAE(keras.Model):
    """Draws digits from two numbers; its loss is that of the reconstruction and the divergence of the two numbers."""

    def __init__(self, **arguments: object) -> None:
        super().__init__(**arguments)
        image, latent = keras.Input((NUM_PIXELS,)), keras.Input((NUM_LATENT,))
        hidden = layers.Dense(32, activation="relu")(image)
        self.encoder = keras.Model(image, [layers.Dense(NUM_LATENT)(hidden), layers.Dense(NUM_LATENT)(hidden)])
        drawn = layers.Dense(NUM_PIXELS, activation="sigmoid")(layers.Dense(32, activation="relu")(latent))
        self.decoder = keras.Model(latent, drawn)
        self.seed_generator = keras.random.SeedGenerator(0)
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.kl_loss_tracker = keras.metrics.Mean(name="kl_loss")

    @property
    def metrics(self) -> list[keras.Metric]:
        return [self.loss_tracker, self.kl_loss_tracker]

    def train_step(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            losses = self.losses_of(images)
        gradients = tape.gradient(losses[0], self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        return self.shown(*losses)

    def test_step(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        return self.shown(*self.losses_of(images))

    def losses_of(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        mean, log_variance = self.encoder(images)
        noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        drawn = self.decoder(mean + ops.exp(0.5 * log_variance) * noise)
        reconstruction = ops.mean(
            ops.sum(keras.losses.binary_crossentropy(images[..., None], drawn[..., None]), axis=1)
        )
        kl_loss = ops.mean(ops.sum(-0.5 * (1 + log_variance - mean**2 - ops.exp(log_variance)), axis=1))
        return reconstruction + kl_loss, kl_loss

    def shown(self, loss: tf.Tensor, kl_loss: tf.Tensor) -> dict[str, tf.Tensor]:
        self.loss_tracker.update_state(loss)
        self.kl_loss_tracker.update_state(kl_loss)
        return {metric.name: metric.result() for metric in self.metrics}


def build_model() -> VAE:
    """Build and compile the autoencoder; it has its loss in itself."""
    model = VAE()
    model.compile(optimizer="adam")
    return model


def load_data() -> dict[str, np.ndarray]:
    """Return images of digits, 64 grey values in 0..1 each."""
    images = load_digits().data.astype("float32") / 16
    return {"train": images[:1400], "validation": images[1400:]}
