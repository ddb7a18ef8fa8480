"""Plain arrays that a constructor of an nnx module makes while JAX traces it (B2)."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable
from types import FunctionType, MethodType, ModuleType

import jax
import numpy as np
from flax import nnx

from flaxlayer_core.typing import Leaf, Shaped

__all__ = ["hides_traced_arrays", "mark_traced_arrays", "nodes_with_attributes"]

_NODES = (getattr(nnx, "Pytree", nnx.Object), nnx.Variable)


def nodes_with_attributes(module: nnx.Module) -> list[Leaf]:
    """Returns a module and what stands in it, as far as it has attributes of its own."""
    return [node for _, node in nnx.iter_graph(module) if isinstance(node, _NODES[0])]


def mark_traced_arrays(nodes: Iterable[Leaf]) -> None:
    """Lets attributes that hold traced arrays be data, as those with arrays are.

    Flax tells arrays by `isinstance(value, Union[...])`, to which a tracer is none before Python
    3.14. It then takes the attribute for a static one, and the tracer outlives its trace.

    Args:
        nodes: A module and what is in it, which are changed.

    Raises:
        ValueError: From Flax, where it refuses arrays in such an attribute, as in a plain list.

    Example:

    ```python
    >>> import jax.numpy as jnp
    >>> def make():
    ...     module = nnx.Module()
    ...     module.table = jnp.arange(3.0)
    ...     mark_traced_arrays([module])
    ...     return nnx.state(module)["table"]
    >>> jax.eval_shape(make).shape
    (3,)

    ```
    """
    for node in nodes:
        for name, value in list(vars(node).items()):
            if isinstance(value, jax.core.Tracer):
                setattr(node, name, nnx.data(value))
            elif not isinstance(value, _NODES) and _holds_tracers(value):
                # Flax decides on arrays that it knows as such.
                setattr(node, name, jax.tree_util.tree_map(_known_array, value, is_leaf=_is_node))
                node.__dict__[name] = value


def hides_traced_arrays(nodes: Iterable[Leaf]) -> bool:
    """Tells whether a module holds a traced array where Flax does not look for arrays.

    Such as in what a function captures, or in an object that is no pytree.

    Args:
        nodes: The module and what is in it.

    Example:

    ```python
    >>> import jax.numpy as jnp
    >>> def make():
    ...     module, table = nnx.Module(), jnp.arange(3.0)
    ...     module.look_up = lambda index: table[index]
    ...     print(hides_traced_arrays([module]))
    >>> jax.eval_shape(make)
    True

    ```
    """
    attributes = [value for node in nodes for value in vars(node).values()]
    pending = jax.tree_util.tree_leaves(attributes, is_leaf=_is_node)
    pending = [leaf for leaf in pending if not isinstance(leaf, jax.core.Tracer)]
    seen: dict[int, object] = {}
    while pending:
        value = pending.pop()
        if isinstance(value, jax.core.Tracer):
            return True
        if id(value) not in seen and not isinstance(value, _PASSED_OVER):
            seen[id(value)] = value
            pending.extend(_held(value))
    return False


# What Flax takes apart itself, and what holds nothing of the module's own.
_PASSED_OVER = (*_NODES, jax.Array, np.ndarray, ModuleType, type, str, bytes, int)


def _held(value: object) -> Iterable[object]:
    if isinstance(value, list | tuple | set | frozenset):
        return value
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, functools.partial):
        return (value.func, *value.args, *value.keywords.values())
    if isinstance(value, MethodType):
        return (value.__self__, value.__func__)
    if isinstance(value, FunctionType):
        captured = inspect.getclosurevars(value).nonlocals.values()
        return (*captured, *(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values())
    return vars(value).values() if hasattr(value, "__dict__") else ()


def _is_node(value: object) -> bool:
    return isinstance(value, _NODES)


def _holds_tracers(value: object) -> bool:
    leaves = jax.tree_util.tree_leaves(value, is_leaf=_is_node)
    return any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)


def _known_array(leaf: Shaped) -> Shaped:
    return np.zeros(()) if isinstance(leaf, jax.core.Tracer) else leaf
