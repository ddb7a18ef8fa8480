"""Files of Keras from several processes: whole, and written once (D3)."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax
import keras
import numpy as np

from flaxlayer.compat.private_keras import showing
from flaxlayer.processes.gathering import agree, lead, serve
from flaxlayer.typing import Array, DType
from flaxlayer.weights.sharding import spans_processes
from flaxlayer_core import DistributeModelError

__all__ = ["save_in_processes"]


def save_in_processes(model: keras.Model, filepath: str | os.PathLike[str]) -> None:
    """Saves a model whose variables are in several processes, to one file (D3).

    All processes call it. The first one runs `model.save`, or for `.weights.h5`
    `model.save_weights`; what it writes of a variable that is divided among processes, these
    gather for it, one variable at a time. The others wait. The file has its name when it is whole:
    until then, and where the save is interrupted, what had the name before keeps it. Any process
    can read the file, under any distribution.

    `model.save` itself would fail there: it asks each process for the whole of each variable; and
    where no variable is divided, all processes would write the same file.

    Args:
        model: A built model.
        filepath: Where to, a path that ends in `.keras` or `.weights.h5`.

    Raises:
        DistributeModelError: If the path has another ending, the processes have other variables, or
            the first process could not write; in that one its own error comes.

    Example:

    ```python
    >>> import pathlib, tempfile
    >>> import flax.linen as nn, keras
    >>> from flaxlayer import FlaxLayer, save_in_processes
    >>> model = keras.Sequential([keras.Input((3,)), FlaxLayer(nn.Dense(2))])
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.keras"
    >>> save_in_processes(model, path)
    >>> keras.models.load_model(path).output_shape
    (None, 2)

    ```
    """
    path = Path(filepath)
    write = _writer(model, path)
    divided = _divided(model)
    _refuse_others(divided, path)
    arrays = [variable.value for variable in divided]
    if jax.process_index() == 0:
        lead(arrays, lambda whole: _write(write, path, divided, whole))
    elif not serve(arrays):
        raise DistributeModelError(
            f"Process {jax.process_index()} has no file {str(path)!r}.",
            expected="that process 0 writes it",
            found="an error in process 0",
            fix="Read the error of process 0.",
            law="D3",
        )


def _writer(model: keras.Model, path: Path) -> Callable[[Path], None]:
    if path.name.endswith(".weights.h5"):
        return lambda whole: model.save_weights(whole)
    if path.suffix == ".keras":
        return lambda whole: model.save(whole)
    raise DistributeModelError(
        f"Cannot save a model to {str(path)!r}.",
        expected="a path that ends in .keras or .weights.h5",
        found=path.name,
        fix="Give it such an ending; for checkpoints in shards see docs/distribution.md.",
        law="D3",
    )


def _divided(model: keras.Model) -> list[keras.Variable]:
    """The variables that no process has the whole of."""
    optimizer = getattr(model, "optimizer", None)
    own = [*model.variables, *(() if optimizer is None else optimizer.variables)]
    return [variable for variable in own if spans_processes(variable.value)]


def _refuse_others(divided: Sequence[keras.Variable], path: Path) -> None:
    # Else one would wait for parts that no other gives.
    told = repr([(variable.path, tuple(variable.shape)) for variable in divided])
    if agree(told):
        return
    raise DistributeModelError(
        f"Cannot save a model to {str(path)!r}.",
        expected="the same model in each process",
        found=f"other variables than these: {told[:500]}",
        fix="Make the model by the same code, with the same names, in each process.",
        law="D3",
    )


def _write(
    write: Callable[[Path], None],
    path: Path,
    divided: Sequence[keras.Variable],
    whole: Callable[[int], Array],
) -> None:
    stand_ins = [_Divided(variable, index, whole) for index, variable in enumerate(divided)]
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        file = Path(folder, path.name)
        with _undistributed(), showing(divided, stand_ins):
            write(file)
        os.replace(file, path)


@contextlib.contextmanager
def _undistributed() -> Iterator[None]:
    # Keras makes an optimizer of its own to see which attributes one has: under a distribution that
    # waits for the other processes to make it, too.
    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)


class _Divided:
    """Stands in the place of an array, and is gathered when NumPy asks for it."""

    def __init__(self, variable: keras.Variable, index: int, whole: Callable[[int], Array]) -> None:
        self.shape, self.dtype = variable.shape, variable.dtype
        self._index, self._whole = index, whole

    def __array__(self, dtype: DType = None, copy: bool | None = None) -> Array:
        del copy
        return np.asarray(self._whole(self._index), dtype)
