"""Weights in files of Keras, by path (W3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from flaxlayer.weights import FlaxWeights
from flaxlayer_core import MatchWeightsFileError

__all__ = ["read_weights", "store_key", "write_weights"]


def store_key(path: Sequence[str]) -> str:
    """Returns the key of a variable in a weights file: one flat name, never a path (S3).

    Example:

    ```python
    >>> store_key(("params", "Dense_0", "a/b.c"))
    'params.Dense_0.a%2Fb%2Ec'

    ```
    """
    return ".".join(
        part.replace("%", "%25").replace(".", "%2E").replace("/", "%2F") for part in path
    )


def write_weights(weights: FlaxWeights, store: Any) -> None:
    """Writes variables by path (W3)."""
    for path, variable in weights.by_path().items():
        store[store_key(path)] = variable


def read_weights(weights: FlaxWeights | None, store: Any, *, where: str) -> None:
    """Reads variables by path, or by order from a file of `keras.layers.FlaxLayer` (W3).

    Args:
        weights: The variables, None for a layer that is not built.
        store: What the file has for the layer.
        where: What to name in an error.

    Raises:
        MatchWeightsFileError: If names or shapes differ; nothing is changed then.
    """
    keys = list(store.keys())
    variables = {} if weights is None else _by_key(weights, keys)
    values = {key: _read(store, key) for key in variables if key in keys}
    problems = [f"missing {key}" for key in sorted(set(variables) - set(keys))]
    problems += [f"extra {key}" for key in sorted(set(keys) - set(variables))]
    problems += filter(None, (_misfit(key, variables[key], values[key]) for key in values))
    if problems:
        raise MatchWeightsFileError(
            f"{where} does not find its variables in the weights file.",
            expected=", ".join(sorted(variables)) or "nothing: the layer is not built",
            found="; ".join(problems),
            fix="Load a file of the same module, built for the same inputs.",
            law="W3",
        )
    for key, variable in variables.items():
        variable.assign(values[key])


def _by_key(weights: FlaxWeights, keys: Sequence[str]) -> Mapping[str, keras.Variable]:
    by_path = weights.by_path()
    if keys and all(key.isdigit() for key in keys):
        # The reference numbers params first, then the rest, each in the order of the tree.
        ordered = sorted(by_path.items(), key=lambda item: item[0][0] != "params")
        return {str(index): variable for index, (_, variable) in enumerate(ordered)}
    return {store_key(path): variable for path, variable in by_path.items()}


def _read(store: Any, key: str) -> Any:
    try:
        entry = store[key]
        if not hasattr(entry, "__array__"):
            message = f"it is a {type(entry).__name__}, not an array"
            raise TypeError(message)
        return np.asarray(entry)
    except (KeyError, ValueError, TypeError, OSError) as error:
        return error


def _misfit(key: str, variable: keras.Variable, value: Any) -> str:
    if isinstance(value, Exception):
        return f"{key} cannot be read: {value}"
    if value.shape != tuple(variable.shape):
        return f"{key} has shape {list(value.shape)}, not {list(variable.shape)}"
    if _kind(value.dtype) != _kind(variable.dtype):
        return f"{key} is {value.dtype}, not {variable.dtype}"
    return ""


def _kind(dtype: Any) -> str:
    # Files of the reference hold floats in the layer's dtype, so that widths may differ.
    name = str(getattr(dtype, "name", dtype))
    kinds = ("float", "complex", "uint", "int", "bool")
    return next((kind for kind in kinds if kind in name), name)
