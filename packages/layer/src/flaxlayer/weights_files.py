"""Weights in files of Keras: by path, with the inputs that they were built for (W3, W4)."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from flaxlayer.checking import check_mapping, refuse
from flaxlayer.storing import CallInputs, decode_inputs, encode_inputs
from flaxlayer.weights import FlaxWeights
from flaxlayer_core import EncodeModuleError, MatchWeightsFileError, VariableLayout

__all__ = ["StoredWeights", "open_weights", "store_key", "weakly", "write_weights"]

# `store_key` makes no name that begins with a percent sign, unless two digits follow it.
_INPUTS, _OWN = "%inputs", "%own."
_MAX_BYTES = 1 << 24


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


def write_weights(
    weights: FlaxWeights | None,
    own: Sequence[keras.Variable],
    inputs: CallInputs | None,
    store: Any,
) -> None:
    """Writes what a layer has, and which inputs it was built for (W3, W4).

    Args:
        weights: The variables of the module, None for a layer that is not built.
        own: The variables that a subclass added (W5), by their order as in Keras's own layers.
        inputs: The inputs of the build, None for a layer that is not built.
        store: What the file has for the layer.
    """
    store[_INPUTS] = np.frombuffer(json.dumps(_record(inputs)).encode(), np.uint8)
    for path, variable in ({} if weights is None else weights.by_path()).items():
        store[store_key(path)] = variable
    for key, variable in _own_by_key(own).items():
        store[key] = variable


def _record(inputs: CallInputs | None) -> Any:
    try:
        return encode_inputs(inputs)
    except EncodeModuleError as error:  # the weights can be stored all the same
        return {"unknown": str(error)}


def _own_by_key(own: Sequence[keras.Variable]) -> dict[str, keras.Variable]:
    return {f"{_OWN}{index}": variable for index, variable in enumerate(own)}


@dataclass(frozen=True)
class StoredWeights:
    """What a weights file has for a layer.

    Attributes:
        store: Its arrays by key.
        keys: The keys of the layer's variables.
        recorded: Whether the file says what the layer was built for: older files do not.
        inputs: The inputs that it was built for, None where that is not known.
        where: What to name in an error.
    """

    store: Any
    keys: tuple[str, ...]
    recorded: bool
    inputs: CallInputs | None
    where: str

    @property
    def empty(self) -> bool:
        """Whether the file has no group for the layer, or one with nothing in it."""
        return not self.recorded and not self.keys

    def values(self, layout: VariableLayout) -> dict[str, Any]:
        """Returns the arrays for variables that are still to be made, all checked.

        Raises:
            MatchWeightsFileError: If names or shapes differ.
        """
        expected = {store_key(spec.path): spec for spec in layout.specs}
        return self._checked(expected, [key for key in self.keys if not key.startswith(_OWN)])

    def assign(self, weights: FlaxWeights | None, own: Sequence[keras.Variable]) -> None:
        """Reads variables by path, or by order from a file of `keras.layers.FlaxLayer` (W3).

        Args:
            weights: The variables of the module, None for a layer that is not built.
            own: The variables that a subclass added.

        Raises:
            MatchWeightsFileError: If names or shapes differ, or the file says nothing of a layer
                that is not built; nothing is changed then.
        """
        strange = not self.recorded or any(not key.startswith(_OWN) for key in self.keys)
        if weights is None and strange:
            raise self._refusal("nothing: the layer is not built", list(self.keys))
        variables = {} if weights is None else dict(_by_key(weights, self.keys))
        variables |= _own_by_key(own)
        values = self._checked(variables, self.keys)
        for key, variable in variables.items():
            variable.assign(values[key])

    def _checked(self, expected: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
        values = {key: _read(self.store, key) for key in expected if key in keys}
        problems = [f"missing {key}" for key in sorted(set(expected) - set(keys))]
        problems += [f"extra {key}" for key in sorted(set(keys) - set(expected))]
        problems += filter(None, (_misfit(key, expected[key], values[key]) for key in values))
        if problems:
            raise self._refusal(", ".join(sorted(expected)), problems)
        return values

    def _refusal(self, expected: str, found: Sequence[str]) -> MatchWeightsFileError:
        return MatchWeightsFileError(
            f"{self.where} does not find its variables in the weights file.",
            expected=expected or "no variables",
            found="; ".join(found) or "nothing for this layer",
            fix="Load a file of the same module, built for the same inputs.",
            law="W3",
        )


def open_weights(store: Any, *, where: str) -> StoredWeights:
    """Returns what a file has for a layer; only the record of its inputs is read.

    Args:
        store: What the file has for the layer.
        where: What to name in an error.

    Raises:
        DecodeModuleError: If the record of its inputs is refused.
    """
    keys = list(store.keys())
    recorded = _INPUTS in keys
    inputs = _decode_record(_read(store, _INPUTS)) if recorded else None
    return StoredWeights(
        store, tuple(key for key in keys if key != _INPUTS), recorded, inputs, where
    )


def weakly(store: Any) -> Callable[[], Any]:
    """Returns what returns a store as long as it lives; one that cannot be referred to is gone."""
    try:
        return weakref.ref(store)
    except TypeError:
        return lambda: None


def _decode_record(array: Any) -> CallInputs | None:
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or array.nbytes > _MAX_BYTES:
        raise refuse(_INPUTS, expected="JSON text as bytes", found=array)
    try:
        record = json.loads(array.tobytes().decode())
    except (ValueError, RecursionError) as error:
        raise refuse(_INPUTS, expected="JSON text as bytes", found=error) from error
    if record is None or "arguments" not in check_mapping(record, _INPUTS):
        return None
    return decode_inputs(record)


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


def _misfit(key: str, variable: Any, value: Any) -> str:
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
