"""Turn what users bring as an array into rows that a loop can take, or refuse it with the remedy."""

from __future__ import annotations

import datetime
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrrt.rows import DiskRows, SparseRows, values_of

NUMBERS = "biuf"  # kinds of NumPy's dtypes
TEXT = "SU"
OF_TIMES = "Turn it into numbers, such as seconds since a date."
CHECKED_ROWS = 1024  # of an array on disk, read and looked at together


def as_rows(value: Any, name: str) -> Any:
    """Return rows of one array.

    Args:
        value: a NumPy array, a tensor, a pandas Series or DataFrame, a list; ragged and sparse ones of TensorFlow and
            sparse ones of SciPy; a `numpy.memmap`, which stays on disk.
        name: what messages call the data.

    Returns:
        A tensor, ragged if the value is; `SparseRows`, or `DiskRows`. Floats have Keras's own precision.

    Raises:
        TypeError: for what is not made of numbers or of text, with one row a sample.
        ValueError: for values that are missing or not finite.
    """
    import tensorflow as tf

    if isinstance(value, SparseRows):
        return value
    if isinstance(value, np.memmap | DiskRows):
        rows = value if isinstance(value, DiskRows) else DiskRows(value)
        _check_disk(rows, name)
        return rows
    tensor = as_tensor(value, name, is_checked=True)
    return SparseRows.from_tensor(tensor) if isinstance(tensor, tf.SparseTensor) else tensor


def as_tensor(value: Any, name: str, *, is_checked: bool = False) -> Any:
    """Return one array as a dense, ragged or sparse tensor; `is_checked` refuses values that are not finite.

    Raises:
        TypeError: for what is not made of numbers or of text, with one row a sample.
        ValueError: for values that are missing, or not finite.
    """
    import keras
    import tensorflow as tf

    if hasattr(value, "tocoo"):  # each sparse array and matrix of SciPy has it
        value = _from_scipy(value)
    if isinstance(value, tf.RaggedTensor | tf.SparseTensor):
        if is_checked:
            _check_finite(values_of(value).numpy(), name, "values")
        return tf.cast(value, keras.config.floatx()) if value.dtype.is_floating else value
    array = _as_array(value, name)
    if array.dtype.kind != "f":
        return tf.constant(array)
    if is_checked:
        _check_finite(array, name, "samples")
    return tf.constant(array.astype(keras.config.floatx(), copy=False))


def _as_array(value: Any, name: str) -> NDArray[Any]:
    """Return a dense array of numbers or of text; text may be in objects."""
    if np.ma.is_masked(value):
        raise ValueError(
            f"{name} must have a value in every row, got {np.ma.count_masked(value)} masked ones, whose mask training "
            "would ignore. Fill them, such as with .filled(0), or drop those samples."
        )
    try:
        array = np.asarray(value)
    except ValueError as error:  # NumPy's, of lists that differ in length
        raise TypeError(
            f"{name} must hold arrays with one row a sample, got {type(value).__name__} of rows that differ in length "
            f"({error}). Pad them with keras.utils.pad_sequences, or pass tf.ragged.constant(...)."
        ) from error
    if array.dtype == object and _kinds(value) <= set(NUMBERS):  # booleans beside floats, or pandas' nullable numbers
        array = value.to_numpy("float64", na_value=math.nan)
    if array.ndim == 0:
        raise TypeError(f"{name} must hold arrays with one row a sample, got {type(value).__name__}: {value!r:.80}.")
    if array.ndim == 1 and hasattr(value, "to_frame"):  # a pandas Series, which `fit` takes for one column as well
        array = array[:, None]
    if array.dtype.name == "bfloat16":
        return array.astype("float32")
    if array.dtype.kind == "T":  # NumPy's text of any length
        return array.astype(object)
    if array.dtype == object:
        _check_objects(array, value, name)
    elif array.dtype.kind not in NUMBERS + TEXT:
        raise TypeError(f"{name} must hold numbers or text, got an array of {array.dtype}.{_remedy(array.dtype)}")
    return array


def _kinds(value: Any) -> set[str]:
    """Return the kinds of the columns of a pandas DataFrame or Series; "O" for all else."""
    dtypes: Any = getattr(value, "dtypes", None)
    columns = dtypes if hasattr(dtypes, "items") else [dtypes]
    return {getattr(dtype, "kind", "O") for dtype in columns}


def _remedy(dtype: np.dtype[Any]) -> str:
    if dtype.kind in "mM":
        return f" {OF_TIMES}"
    if dtype.kind == "c":
        return " Give real and imaginary parts as columns."
    return " Give each field to an input of its own, as {name: array[name]}, or stack them." if dtype.names else ""


def _check_objects(array: NDArray[Any], value: Any, name: str) -> None:
    """Refuse objects that are not all text."""
    is_text = np.array([isinstance(item, str | bytes) for item in array.flat])
    if is_text.all():
        return
    for number, item in enumerate(array.flat):
        if item is None or str(item) in ("nan", "<NA>", "NaT"):
            sample = number // math.prod(array.shape[1:])
            raise ValueError(
                f"{name} must have a value in every row, got {item!r} in sample {sample}. Fill it, such as with "
                '.fillna("missing") for text, or drop the sample.'
            )
    first = array.flat[int(is_text.argmin())]
    if isinstance(first, list | tuple | np.ndarray):
        raise TypeError(
            f"{name} must hold arrays with one row a sample, got rows that differ in length. Pad them with "
            "keras.utils.pad_sequences, or pass tf.ragged.constant(...)."
        )
    if isinstance(first, int | float | np.number) and is_text.any():
        remedy = (
            "Give each column to an input of its own, as {name: frame[name] for name in frame}, or turn text into "
            "numbers first."
        )
        raise TypeError(
            f"{name} must hold numbers or text in one array, got both in a {type(value).__name__}. {remedy}"
        )
    remedy = OF_TIMES if isinstance(first, datetime.date | datetime.timedelta) else _remedy_of(first)
    raise TypeError(
        f"{name} must hold arrays with one row a sample, of numbers or of text, got {type(value).__name__} of "
        f"{type(first).__name__} objects: {first!r:.80}. {remedy}"
    )


def _remedy_of(item: Any) -> str:
    try:
        float(item)
    except (TypeError, ValueError):
        return "Turn each of them into numbers."
    return 'Convert them, such as with .astype("float32").'


def _from_scipy(matrix: Any) -> Any:
    import tensorflow as tf

    table = matrix.tocoo()
    indices = np.stack([table.row, table.col], axis=1).astype(np.int64)
    return tf.sparse.reorder(tf.SparseTensor(indices, table.data, table.shape))


def _check_disk(rows: DiskRows, name: str) -> None:
    """Look at the values of an array on disk, a few rows at a time, so that it is never in memory as a whole."""
    if rows.array.dtype.kind not in NUMBERS or rows.array.ndim == 0:
        raise TypeError(f"{name} must hold numbers if it is a numpy.memmap, got {rows.array.dtype} values.")
    if rows.array.dtype.kind == "f":
        num_rows = rows.shape[0]
        starts = range(0, num_rows, CHECKED_ROWS)
        parts = (np.arange(start, min(start + CHECKED_ROWS, num_rows)) for start in starts)
        broken = [part[_not_finite(rows.read(part))] for part in parts]
        _refuse(np.concatenate([np.arange(0), *broken]), num_rows, name, "samples")


def _check_finite(array: NDArray[Any], name: str, noun: str) -> None:
    if array.dtype.kind == "f":
        _refuse(_not_finite(array), len(array), name, noun)


def _not_finite(array: NDArray[Any]) -> NDArray[np.integer]:
    """Return which rows hold NaN or infinity."""
    return np.flatnonzero(~np.isfinite(array).all(axis=tuple(range(1, array.ndim))))


def _refuse(broken: NDArray[np.integer], count: int, name: str, noun: str) -> None:
    if len(broken):
        raise ValueError(
            f"{name} must be finite, got NaN or infinity in {len(broken)} of {count} {noun}, first in "
            f"{noun.removesuffix('s')} {broken[0]}. Drop or fill those {noun}."
        )
