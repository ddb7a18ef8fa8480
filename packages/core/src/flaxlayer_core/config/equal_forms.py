"""Whether what is stored of an nnx object makes an object of the same form (S1)."""

from __future__ import annotations

__all__ = ["check_remade"]

import enum
from collections.abc import Iterator, Mapping
from types import FunctionType, MappingProxyType

import jax
import numpy as np
from flax import nnx

from flaxlayer_core.compat.private_nnx import variable_value
from flaxlayer_core.config.definitions import qualified_name, same_definition
from flaxlayer_core.errors import EncodeModuleError
from flaxlayer_core.modules.nnx.graph_variables import role_of
from flaxlayer_core.modules.nnx.module_factory import ModuleFactory
from flaxlayer_core.modules.nnx.nnx_factories import abstract_module
from flaxlayer_core.modules.signatures import NEGATED_FLAGS, TRAINING_FLAGS
from flaxlayer_core.trees.roles import Role
from flaxlayer_core.typing import Leaf

_NODES = (getattr(nnx, "Pytree", nnx.Object), nnx.Variable)
_OF_STREAMS = (nnx.Rngs, nnx.RngStream, nnx.RngState)
# The layer sets them at each call (A2).
_MODES = frozenset({*TRAINING_FLAGS, *NEGATED_FLAGS})
_PLAIN = (bool, int, float, complex, str, bytes, enum.Enum, np.dtype, type, type(None))


def check_remade(module: nnx.Module, remade: ModuleFactory) -> None:
    """Raises where what is stored of an object makes another one.

    Args:
        module: The object.
        remade: What its class and its `get_config()` say.

    Raises:
        EncodeModuleError: If the constructor does not take it, or gives a module with another
            class, variable, shape, dtype or setting somewhere.
    """
    name = type(module).__name__
    try:
        made = abstract_module(remade)
    except Exception as error:  # a user's constructor may raise anything
        arguments = ", ".join(f"{key}={value!r}"[:80] for key, value in remade.keywords.items())
        found = f"{name}({arguments}) fails: {type(error).__name__}: {error}"
        raise _refusal(name, found) from error
    before, after = _form(module), _form(made)
    for path in sorted(before.keys() | after.keys()):
        left, right = before.get(path, _NOTHING), after.get(path, _NOTHING)
        if not _same(left, right):
            title = "/".join(path) or "the module itself"
            raise _refusal(name, f"{title}: {left!r}"[:200] + f", and {right!r}"[:200] + " of that")


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


_NOTHING = _Nothing()


def _refusal(name: str, found: str) -> EncodeModuleError:
    return EncodeModuleError(
        f"Cannot store {name}.",
        expected=f"a {name}.get_config() that makes an equal module: {name}(rngs=..., **config)",
        found=found,
        fix=f"Let {name}.get_config() return the keyword arguments of its constructor, without "
        f"rngs, or pass functools.partial({name}, ...) in its place.",
        law="S1",
    )


def _form(module: nnx.Module) -> Mapping[tuple[str, ...], Leaf]:
    """What each place in a module holds, values of arrays and random streams left out."""
    return MappingProxyType(dict(_places(module)))


def _places(module: nnx.Module) -> Iterator[tuple[tuple[str, ...], Leaf]]:
    streams: list[tuple[str, ...]] = []
    for keys, node in sorted(nnx.iter_graph(module), key=lambda pair: len(pair[0])):
        path = tuple(map(str, keys))
        in_stream = any(path[: len(above)] == above for above in streams)
        if in_stream or isinstance(node, _OF_STREAMS):
            streams.append(path)
        elif isinstance(node, nnx.Variable):
            if role_of(type(node)) is not Role.TRANSIENT:
                yield path, (type(node).__name__, _described(variable_value(node)))
        elif isinstance(node, _NODES):
            yield path, type(node)
            for name, value in vars(node).items():
                if _is_setting(name, value):
                    yield (*path, name), _described(value)


def _is_setting(name: str, value: object) -> bool:
    private = name.startswith(("_pytree__", "_object__"))
    return not (private or name in _MODES or isinstance(value, _NODES))


def _described(value: object) -> object:
    return jax.tree_util.tree_map(_describe_leaf, value, is_leaf=_is_whole)


def _is_whole(value: object) -> bool:
    # A variable is a pytree, whose structure has metadata that tells where it was made.
    return value is None or isinstance(value, _NODES)


def _describe_leaf(leaf: object) -> object:
    if isinstance(leaf, nnx.Variable):
        return f"{type(leaf).__name__} of {_described(variable_value(leaf))}"
    if isinstance(leaf, _NODES):
        return type(leaf)
    if hasattr(leaf, "shape") and hasattr(leaf, "dtype") and not isinstance(leaf, type):
        return f"{jax.dtypes.canonicalize_dtype(leaf.dtype) if _numeric(leaf) else leaf.dtype}" + (
            f"[{','.join(map(str, leaf.shape))}]"
        )
    return leaf


def _numeric(leaf: Leaf) -> bool:
    return isinstance(leaf.dtype, np.dtype)


def _same(left: object, right: object) -> bool:
    if left is _NOTHING or right is _NOTHING:
        return False
    lefts, left_tree = jax.tree_util.tree_flatten(left, is_leaf=lambda leaf: leaf is None)
    rights, right_tree = jax.tree_util.tree_flatten(right, is_leaf=lambda leaf: leaf is None)
    trees: list[Leaf] = [left_tree, right_tree]
    return bool(trees[0] == trees[1]) and all(map(_same_leaf, lefts, rights))


def _same_leaf(left: object, right: object) -> bool:
    if isinstance(left, FunctionType) and isinstance(right, FunctionType):
        return same_definition(left, right)
    if isinstance(left, _PLAIN) or isinstance(right, _PLAIN):
        return type(left) is type(right) and (left == right or repr(left) == repr(right))
    names = [qualified_name(each) for each in (left, right) if callable(each)]
    # Nobody can tell whether two other objects mean the same.
    return len(set(names)) < 2 or None in names
