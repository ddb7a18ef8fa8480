"""What the checks ask of a layer under test; the one place that knows how a layer answers (T3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.oracle.call import is_array
from flaxlayer_testing.oracle.variable_trees import entry_names

__all__ = [
    "MADE",
    "LayerFactory",
    "Snapshot",
    "arrays_of",
    "as_inputs",
    "as_symbolic",
    "call_model",
    "copied",
    "leaf_paths",
    "peeked_keys",
    "seed_state",
    "stored_value",
    "variables_of",
    "weight_paths",
]

MADE = "__made__"
"""The name of the flag beside state that only an application makes (C2)."""

LayerFactory = Callable[..., Any]
"""`factory(module, *, seed=..., **settings)` returns a `keras.layers.Layer`."""


def _copy(leaf: Any) -> Any:
    # Keras's train step donates its arrays, and a typed key is none that NumPy can hold.
    key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.clone(leaf) if key else np.array(leaf)


def copied(tree: Any) -> dict[str, Any]:
    """Returns a copy of a tree of variables, which nothing donates."""
    copies: dict[str, Any] = jax.tree_util.tree_map(_copy, tree)
    return copies


def variables_of(layer: Any) -> dict[str, Any]:
    """Returns a copy of the tree of variables that raw apply takes (W2)."""
    return copied(layer.flax_variables())


def peeked_keys(layer: Any, *args: Any, training: bool, **kwargs: Any) -> dict[str, Any]:
    """Returns the keys that a layer says its next call will use, to compare (R4).

    Args:
        layer: The layer.
        *args: The positional arguments of that call; it is like the latest one if there are none.
        training: The mode of that call.
        **kwargs: The keyword arguments of that call.
    """
    return dict(layer.peek_rngs(*args, training=training, **kwargs))


def seed_state(layer: Any) -> np.ndarray[Any, Any]:
    """Returns the state of the layer's seed generator (R2)."""
    return stored_value(layer.seed_generator.state)


def stored_value(variable: Any) -> np.ndarray[Any, Any]:
    """Returns a copy of the value of a Keras variable."""
    value = current_backend().to_numpy(variable.value)
    # On torch Keras keeps unsigned integers in signed ones.
    kind = str(variable.dtype)
    return value.astype(kind) if kind.startswith("uint") else value


def call_model(model: Any, arrays: Sequence[Any]) -> list[Any]:
    """Returns the arrays that a model predicts from a list of arrays."""
    backend = current_backend()
    outputs = model(backend.to_backend(list(arrays)), training=False)
    return arrays_of(backend.to_arrays(outputs))


def weight_paths(layer: Any) -> dict[str, Any]:
    """Returns the Keras variables by their path without the layer's name (W1)."""
    prefix = f"{layer.name}/"
    return {variable.path.removeprefix(prefix): variable for variable in layer.weights}


def leaf_paths(tree: Any) -> dict[str, Any]:
    """Returns the leaves of a tree of variables by the path that their Keras weights have (W1).

    The entry of a box, such as `nn.Partitioned`, is no part of a path; slashes are escaped.

    Args:
        tree: Collections of variables.

    Returns:
        The leaves by path, such as `"params/Dense_0/kernel"`.
    """
    pairs, _ = jax.tree_util.tree_flatten_with_path(tree)
    escape = current_backend().variable_name
    return {"/".join(map(escape, entry_names(keys))): leaf for keys, leaf in pairs}


def _stays(leaf: Any) -> bool:
    # Keras has no tensor of typed keys.
    return not is_array(leaf) or jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _dtype_of(leaf: Any) -> str:
    return str(jax.dtypes.canonicalize_dtype(leaf.dtype))


def arrays_of(tree: Any) -> list[Any]:
    """Returns the arrays and Keras tensors of a tree, which are all that a model takes or gives."""
    leaves, backend = jax.tree_util.tree_leaves(tree), current_backend()
    return [
        leaf for leaf in leaves if isinstance(leaf, keras.KerasTensor) or backend.is_array(leaf)
    ]


def as_symbolic(tree: Any) -> Any:
    """Returns a tree with its arrays as Keras tensors; static values and random keys stay."""

    def convert(leaf: Any) -> Any:
        return leaf if _stays(leaf) else keras.KerasTensor(leaf.shape, _dtype_of(leaf))

    return jax.tree_util.tree_map(convert, tree)


def as_inputs(tree: Any, *, any_batch: bool, other: Any = None) -> Any:
    """Returns a tree with a `keras.Input` for each array.

    Args:
        tree: Arguments of a call.
        any_batch: Whether the first dimension becomes unknown.
        other: The same tree for other sizes, which become unknown.

    Returns:
        The same tree; static values and random keys stay.
    """

    def convert(leaf: Any, twin: Any) -> Any:
        if _stays(leaf):
            return leaf
        sizes = zip(leaf.shape, twin.shape, strict=True)
        shape = [size if size == second else None for size, second in sizes]
        shape[:1] = [None] if any_batch else shape[:1]
        return keras.Input(batch_shape=tuple(shape), dtype=_dtype_of(leaf))

    return jax.tree_util.tree_map(convert, tree, tree if other is None else other)


class Snapshot:
    """The values of all Keras variables of a layer at one time.

    Restoring goes through Keras alone, not through the layer under test.

    Args:
        layer: A built layer.
    """

    def __init__(self, layer: Any) -> None:
        self.variables: Sequence[Any] = list(layer.variables)
        self.values = list(map(stored_value, self.variables))

    def restore(self) -> None:
        """Gives every variable its value back."""
        for variable, value in zip(self.variables, self.values, strict=True):
            variable.assign(value)

    def tree(self) -> Mapping[str, Any]:
        """Returns the values by path, to compare."""
        pairs = zip(self.variables, self.values, strict=True)
        return {variable.path: value for variable, value in pairs}
