"""Weights in files of Keras: by path, with the inputs that they were built for (W3, W4)."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from flaxlayer.compat import private_keras
from flaxlayer.inputs import BuildInputs
from flaxlayer.saving.build_config import decode_inputs
from flaxlayer.saving.input_records import RECORD, encode_record, read_record
from flaxlayer.saving.stored_arrays import ArrayHeader, find_problems, read_array
from flaxlayer.typing import Array, DType, Json, KerasStore, Write
from flaxlayer.weights.sharding import place, place_for, refuse_divided
from flaxlayer.weights.value_kinds import cast_value, find_overflow
from flaxlayer.weights.variables import FlaxWeights, replace_values
from flaxlayer_core import MatchWeightsFileError, Path, VariableLayout, explain, list_some

__all__ = ["StoredWeights", "open_weights", "store_key", "weakly", "write_weights"]

# `store_key` makes no name that begins with a percent sign, unless two digits follow it.
_OWN = "%own."
_MOST_NAMES, _LONGEST_NAME = 50, 200


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
    inputs: BuildInputs | None,
    store: KerasStore,
    *,
    title: str,
) -> None:
    """Writes what a layer has, and which inputs it was built for (W3, W4).

    Args:
        weights: The variables of the module, None for a layer that is not built.
        own: The variables that a subclass added (W5), by their order as in Keras's own layers.
        inputs: The inputs of the build, None for a layer that is not built.
        store: What the file has for the layer.
        title: What to name in an error.

    Raises:
        DistributeModelError: If parts of a variable are in other processes alone (D3).
    """
    by_path = {} if weights is None else weights.by_path()
    refuse_divided([*by_path.values(), *own], title=title)
    store[RECORD] = encode_record(inputs)
    for path, variable in by_path.items():
        store[store_key(path)] = _in_its_dtype(variable)
    for key, variable in _own_by_key(own).items():
        store[key] = variable


def _in_its_dtype(variable: keras.Variable) -> Any:
    # On torch Keras keeps unsigned integers in signed ones; files know no backend (W3).
    if not str(variable.dtype).startswith("uint"):
        return variable
    return keras.ops.convert_to_numpy(variable.value).astype(variable.dtype)


def _own_by_key(own: Sequence[keras.Variable]) -> dict[str, keras.Variable]:
    return {f"{_OWN}{index}": variable for index, variable in enumerate(own)}


@dataclass(frozen=True)
class StoredWeights:
    """What a weights file has for a layer.

    Attributes:
        store: Its arrays by key.
        keys: The keys of the layer's variables.
        recorded: Whether the file says what the layer was built for: older files do not.
        record: What it records of the inputs that it was built for, None where that is not known.
        title: What to name in an error.
    """

    store: KerasStore
    keys: tuple[str, ...]
    recorded: bool
    record: Mapping[str, Json] | None
    title: str

    def inputs(self) -> BuildInputs | None:
        """Returns the inputs that the layer was built for, None where they are not known.

        Raises:
            DecodeModuleError: If they hold what is not known to this process, or are refused.
        """
        return None if self.record is None else decode_inputs(self.record)

    @property
    def empty(self) -> bool:
        """Whether the file has no group for the layer, or one with nothing in it."""
        return not self.recorded and not self.keys

    def values(
        self,
        layout: VariableLayout,
        shardings: Mapping[Path, jax.sharding.Sharding] = MappingProxyType({}),
    ) -> Callable[[], Sequence[Array]]:
        """Returns what gives the arrays for variables to be made, each read when it is asked for.

        Args:
            layout: What the module stores.
            shardings: Where the parts of an array go, by path (D3).

        Raises:
            MatchWeightsFileError: If names, shapes or dtypes differ; or, when one is asked for, if
                it cannot be read.
        """
        expected = {store_key(spec.path): spec for spec in layout.specs}
        self._check(expected, [key for key in self.keys if not key.startswith(_OWN)])
        stored = _StoredValues(self, layout, shardings)
        # Variables that are made when a scope ends would find the file closed.
        values = list(stored) if private_keras.in_stateless_scope() else stored
        return lambda: values

    def assign(
        self,
        weights: FlaxWeights | None,
        own: Sequence[keras.Variable],
        *,
        atomic: bool = True,
    ) -> None:
        """Reads variables by path, or by order from a file of `keras.layers.FlaxLayer` (W3).

        Args:
            weights: The variables of the module, None for a layer that is not built.
            own: The variables that a subclass added.
            atomic: Whether what stops it leaves all as they were; the old values are then kept
                beside the new ones until the last is read.

        Raises:
            MatchWeightsFileError: If names, shapes or dtypes differ, or the file says nothing of a
                layer that is not built; nothing is changed then.
        """
        strange = not self.recorded or any(not key.startswith(_OWN) for key in self.keys)
        if weights is None and strange:
            raise self._refusal(["nothing: the layer is not built"], list(self.keys))
        variables = {} if weights is None else dict(_by_key(weights, self.keys))
        variables |= _own_by_key(own)
        replace = replace_values
        if weights is not None:
            replace = weights.replace if atomic else weights.assign
        self.assign_to(variables, self.keys, replace)

    def assign_own(self, own: Sequence[keras.Variable]) -> None:
        """Reads the variables that a subclass added, and no others.

        Raises:
            MatchWeightsFileError: If they are not what the file has of them.
        """
        variables = _own_by_key(own)
        self.assign_to(variables, [key for key in self.keys if key.startswith(_OWN)])

    def assign_to(
        self,
        variables: Mapping[str, keras.Variable],
        keys: Sequence[str],
        replace: Callable[[Iterable[Write]], None] = replace_values,
    ) -> None:
        """Reads variables by their keys, all of them or none.

        Args:
            variables: The variables.
            keys: What of the file is theirs.
            replace: Gives them their values.

        Raises:
            MatchWeightsFileError: If the file does not hold exactly these.
        """
        self._check(variables, keys)
        pairs = variables.items()
        replace(
            (variable, place_for(variable, self.read(key, variable.dtype)))
            for key, variable in pairs
        )

    def read(self, key: str, dtype: DType) -> Json:
        """Returns an array, integers in the dtype of the variable.

        Raises:
            MatchWeightsFileError: If it cannot be read, or the dtype does not hold it.
        """
        value = read_array(self.store, key)
        if isinstance(value, Exception):
            raise self._refusal(["an array"], [f"{key} cannot be read: {value}"]) from value
        problem = find_overflow(value, jnp.dtype(dtype))
        if problem:
            raise self._refusal(["values that the variable holds"], [f"{key} has {problem}"])
        return cast_value(value, dtype) if jnp.issubdtype(value.dtype, np.integer) else value

    def _check(self, expected: Mapping[str, Json], keys: Sequence[str]) -> None:
        # S3: shapes and dtypes before anything is read.
        def misfit(key: str, header: ArrayHeader) -> str:
            return _misfit(key, expected[key], header)

        there = set(keys)
        problems = [f"missing {key}" for key in sorted(set(expected) - there)]
        problems += [f"extra {key}" for key in sorted(there - set(expected))]
        shared = [key for key in expected if key in there]
        problems += filter(None, find_problems(self.store, shared, misfit).values())
        if problems:
            raise self._refusal(sorted(expected), problems)

    def _refusal(self, expected: Sequence[str], found: Sequence[str]) -> MatchWeightsFileError:
        list_parts = partial(list_some, most=_MOST_NAMES, longest=_LONGEST_NAME)
        return MatchWeightsFileError(
            f"{self.title} does not find its variables in the weights file.",
            expected=list_parts(expected, ", ") or "no variables",
            found=list_parts(found, "; ") or "nothing for this layer",
            fix="Load a file of the same module, built for the same inputs.",
            law="W3",
        )


class _StoredValues(Sequence[Any]):
    """The arrays of a file in the order of a layout, none of which is held here (B6)."""

    def __init__(
        self,
        file: StoredWeights,
        layout: VariableLayout,
        shardings: Mapping[Path, jax.sharding.Sharding],
    ) -> None:
        self._file, self._specs, self._shardings = file, layout.specs, shardings

    def __len__(self) -> int:
        return len(self._specs)

    def __getitem__(self, index: Any) -> Json:
        spec = self._specs[index]
        value = self._file.read(store_key(spec.path), spec.dtype)
        if not spec.key_impl:
            value = place(value, self._shardings.get(spec.path))
        return spec.restore(jnp.asarray(value))


def open_weights(store: KerasStore, *, title: str) -> StoredWeights:
    """Returns what a file has for a layer; only the record of its inputs is read.

    Args:
        store: What the file has for the layer.
        title: What to name in an error.

    Raises:
        DecodeModuleError: If the record of its inputs is no JSON of a bounded size.
    """
    try:
        keys = list(store.keys())
    except Exception as error:  # of a damaged file HDF5 raises errors of many classes
        raise StoredWeights(store, (), False, None, title)._refusal(
            ["names of variables"], [explain(error)]
        ) from error
    recorded = RECORD in keys
    record = read_record(store) if recorded else None
    return StoredWeights(
        store, tuple(key for key in keys if key != RECORD), recorded, record, title
    )


def weakly(store: KerasStore) -> Callable[[], Json]:
    """Returns what returns a store as long as it lives; one that cannot be referred to is gone."""
    try:
        return weakref.ref(store)
    except TypeError:
        return lambda: None


def _by_key(weights: FlaxWeights, keys: Sequence[str]) -> Mapping[str, keras.Variable]:
    by_path = weights.by_path()
    if keys and all(key.isdigit() for key in keys):
        # The reference numbers params first, then the rest, each in the order of the tree.
        ordered = sorted(by_path.items(), key=lambda item: item[0][0] != "params")
        return {str(index): variable for index, (_, variable) in enumerate(ordered)}
    return {store_key(path): variable for path, variable in by_path.items()}


def _misfit(key: str, variable: Any, header: ArrayHeader) -> str:
    if header.shape != tuple(variable.shape):
        return f"{key} has shape {list(header.shape)}, not {list(variable.shape)}"
    if _kind(header.dtype) != _kind(variable.dtype):
        return f"{key} is {header.dtype}, not {variable.dtype}"
    return ""


def _kind(dtype: DType) -> str:
    # Files of the reference hold floats in the layer's dtype, so that widths may differ.
    name = str(getattr(dtype, "name", dtype))
    kinds = ("float", "complex", "uint", "int", "bool")
    return next((kind for kind in kinds if kind in name), name)
