"""Predictions where JAX runs in several processes (D2)."""

from __future__ import annotations

from typing import Any

import jax
import keras
import numpy as np

from flaxlayer.backends import current_backend
from flaxlayer.counts import check_count
from flaxlayer.processes.gathering import largest
from flaxlayer.typing import Array, Json, PyTree
from flaxlayer.weights.sharding import sharding_of
from flaxlayer_core import CallArgumentError

__all__ = ["predict_in_processes"]


def predict_in_processes(
    model: keras.Model, x: PyTree, *, batch_size: int = 32, verbose: str | int = "auto"
) -> Any:
    """Returns what `model.predict` would, where the devices are those of several processes (D2).

    Each process gives rows, as for `fit`, and gets the outputs for them. All processes call it;
    their numbers of rows may differ, and need not be multiples of anything: batches are filled up
    with zeros, and what came of these is left out.

    `model.predict` itself fails there, with Keras's own layers, too: it makes one array of NumPy of
    outputs whose parts are in other processes.

    Args:
        model: A built model. Its distribution has `auto_shard_dataset=False`.
        x: Arrays, or a structure of them, all with the same number of rows.
        batch_size: How many rows of this process are in a batch; it is rounded up to a multiple of
            the batch axis of the mesh.
        verbose: As for `model.predict`.

    Returns:
        The outputs for the rows of `x`, as arrays of NumPy.

    Raises:
        CallArgumentError: If `x` has leaves that are no arrays of the same number of rows, no
            process has any, or a batch would have none.

    Example:

    ```python
    >>> import flax.linen as nn, keras, numpy as np
    >>> from flaxlayer import FlaxLayer, predict_in_processes
    >>> model = keras.Sequential([keras.Input((3,)), FlaxLayer(nn.Dense(2))])
    >>> predict_in_processes(model, np.ones((5, 3)), verbose=0).shape
    (5, 2)

    ```
    """
    rows = _count_rows(x)
    batch_size = check_count(batch_size, "batch_size", owner="predict_in_processes", law="D2")
    distribution = current_backend().distribution()
    if distribution is None:
        return model.predict(x, batch_size=batch_size, verbose=verbose)
    size = _round_up(batch_size, _parts(distribution))
    total = size * largest(-(-rows // size))
    if total == 0:
        raise _refusal("rows in some process", "none in any", "Give some process rows.")
    filled = keras.tree.map_structure(lambda array: _filled(array, total), x)
    model.make_predict_function()
    predict = model.predict_function

    def predict_here(*args: Any) -> Any:
        outputs, state = predict(*args)
        return keras.tree.map_structure(lambda y: _rows_here(y, distribution), outputs), state

    model.predict_function = predict_here
    try:
        outputs = model.predict(filled, batch_size=size, verbose=verbose)
    finally:
        model.predict_function = predict
    return keras.tree.map_structure(lambda y: y[:rows], outputs)


def _count_rows(x: PyTree) -> int:
    shapes = [getattr(leaf, "shape", ()) for leaf in keras.tree.flatten(x)]
    counts = {tuple(shape[:1]) for shape in shapes}
    if len(counts) == 1 and () not in counts:
        return int(counts.pop()[0])
    raise _refusal(
        "arrays with the same number of rows",
        ", ".join(map(str, shapes))[:300] or "nothing",
        "Give arrays; a data set is read into arrays, or predicted batch by batch with "
        "model.predict_on_batch.",
    )


def _refusal(expected: str, found: str, fix: str) -> CallArgumentError:
    return CallArgumentError(
        "Cannot predict in processes.", expected=expected, found=found, fix=fix, law="D2"
    )


def _parts(distribution: keras.distribution.Distribution) -> int:
    mesh = distribution.device_mesh
    return int(mesh.shape[list(mesh.axis_names).index(distribution.batch_dim_name)])


def _round_up(number: int, unit: int) -> int:
    return -(-number // unit) * unit


def _filled(array: Array, total: int) -> Array:
    array = np.asarray(array)
    return np.pad(array, [(0, total - len(array)), *[(0, 0)] * (array.ndim - 1)])


def _rows_here(output: jax.Array, distribution: keras.distribution.Distribution) -> Json:
    """The rows of an output that came of what this process gave."""
    layout = sharding_of(distribution.get_data_layout(output.shape))
    placed = jax.jit(_same, out_shardings=layout)(output)
    parts = {shard.index[0].start or 0: shard.data for shard in placed.addressable_shards}
    return np.concatenate([np.asarray(parts[start]) for start in sorted(parts)])


def _same(array: jax.Array) -> jax.Array:
    return array
