"""Check, before anything trains, that the best model can be scored on the test data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lrrt import Loops
from lrrt.batches import Data, as_batches
from lrrt.matching import check_data
from lrrt.models import left_in_its_state
from studies.before_training.validation_data import check_finite

if TYPE_CHECKING:
    import tensorflow as tf

MAX_BYTES = 2**30  # of test data from a generator, which is read before anything trains
TEST = "test data"


def checked_test_data(data: Data | None, loops: Loops) -> Data | None:
    """Return test data that the model can be evaluated on; batches of a generator are read and stored.

    Raises:
        TypeError, ValueError: if the data cannot be taken, has no end, is not finite, or does not fit the model.
    """
    if data is None:
        return None
    if isinstance(data, Iterator):
        data = _stored(data)
    batches = as_batches(data, 1, name=TEST)
    check_finite(batches, TEST)
    with left_in_its_state(loops.model):
        check_data(loops.model, batches, TEST)
    return data


def _stored(batches: Iterator[Any]) -> tf.data.Dataset:
    """Return a dataset of all batches of a generator, which gives them once."""
    import keras
    import tensorflow as tf

    stored: list[Any] = []
    num_bytes = 0
    for batch in batches:
        parts = tuple(batch) if isinstance(batch, tuple | list) else (batch,)
        stored.append(keras.tree.map_structure(tf.convert_to_tensor, parts))
        num_bytes += sum(part.shape.num_elements() * part.dtype.size for part in keras.tree.flatten(stored[-1]))
        if num_bytes > MAX_BYTES:
            raise ValueError(
                f"{TEST} from a generator must end and fit into {MAX_BYTES:.1e} bytes, got {len(stored)} batches of "
                f"{num_bytes:.1e} bytes, and it goes on. Return arrays or a tf.data.Dataset that ends."
            )
    if not stored:
        raise ValueError(f"{TEST} must hold at least one batch, got a generator that has ended.")
    spec = keras.tree.map_structure(lambda part: tf.TensorSpec([None, *part.shape[1:]], part.dtype), stored[0])
    dataset = tf.data.Dataset.from_generator(lambda: iter(stored), output_signature=spec)
    return dataset.apply(tf.data.experimental.assert_cardinality(len(stored)))
