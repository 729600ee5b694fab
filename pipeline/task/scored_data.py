"""Check, before anything trains, that the model can be scored on the validation data and on the test data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from lrrt import Loops
from lrrt.arrays import Batch
from lrrt.batches import Batches, Data, as_batches
from lrrt.models import BUILD_SAMPLES, check_labels
from lrrt.one_batch import run_on_batch
from lrrt.variables import all_variables, assign, read
from studies.training.validation_data import check_finite

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
    check_labels(loops.model, batches, TEST)
    check_scores(loops, batches)
    return data


def check_scores(loops: Loops, batches: Batches) -> None:
    """Let the model's `test_step` run on a few samples, and leave the model as it was; what it raises is raised."""
    import tensorflow as tf

    model, batch = loops.model, batches.sample(BUILD_SAMPLES)

    def score() -> None:
        run_on_batch(model, model.test_step, batch)

    variables = [*all_variables(model), *model.metrics_variables]
    values = read(variables)
    with model.distribute_strategy.scope():
        try:
            score()
        except Exception:
            if model.run_eagerly or not _runs(tf.function(score, autograph=False)):  # a test_step may need a graph
                raise
        finally:
            assign(variables, values)


def _runs(score: Callable[[], None]) -> bool:
    try:
        score()
    except Exception:  # the user's code may raise anything; the first exception tells more
        return False
    return True


def _stored(batches: Iterator[Batch]) -> tf.data.Dataset:
    """Return a dataset of all batches of a generator, which gives them once."""
    import keras
    import tensorflow as tf

    stored: list[Batch] = []
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
