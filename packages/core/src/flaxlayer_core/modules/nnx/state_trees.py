"""Given variables of an nnx module: by collection, a state, or a pure dict of one (B4, W2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
from flax import nnx

from flaxlayer_core.compat.private_nnx import variable_value
from flaxlayer_core.modules.nnx.graph import GraphForm
from flaxlayer_core.modules.nnx.graph_variables import ARRAYS, collection_of
from flaxlayer_core.trees.paths import key_name
from flaxlayer_core.typing import Array, Leaf, Path, PyTree, Shaped, Variables

__all__ = ["by_collection"]


def by_collection(raw: Variables, form: Callable[[], GraphForm]) -> dict[str, PyTree]:
    """Returns a tree of variables as a layer stores it.

    Keys and counts of random streams are left out: they are not stored (R2).

    Args:
        raw: Collections of arrays; or what `nnx.state` or `nnx.split` returns, whose leaves are
            variables; or a pure dict of that, whose leaves are arrays.
        form: Returns what the module is like.

    Returns:
        Collections of arrays, with text for the keys of mappings.

    Example:

    ```python
    >>> linear = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    >>> made = lambda: GraphForm.from_module(linear)[0]
    >>> tree = by_collection(nnx.to_pure_dict(nnx.state(linear)), made)
    >>> {name: leaf.shape for name, leaf in tree["params"].items()}
    {'bias': (2,), 'kernel': (3, 2)}

    ```
    """
    leaves = jax.tree_util.tree_flatten_with_path(dict(raw), is_leaf=_is_leaf)[0]
    if any(_is_variable(leaf) for _, leaf in leaves):
        return _nested({_names(keys): leaf for keys, leaf in leaves}, _collection)
    if all(map(_is_collection, raw)):
        return {str(name): _with_text_keys(tree) for name, tree in raw.items()}
    known = {v.path[1:]: v for v in form().variables}
    paths = {_names(keys): leaf for keys, leaf in leaves}
    if not paths.keys() <= known.keys():  # no pure dict of this module
        return {str(name): _with_text_keys(tree) for name, tree in raw.items()}
    return _nested(
        {path: leaf for path, leaf in paths.items() if not known[path].is_rng},
        lambda path, _: known[path].path[0],
    )


def _is_variable(value: object) -> bool:
    return isinstance(value, nnx.Variable)


def _is_leaf(value: object) -> bool:
    return value is None or _is_variable(value)  # JAX counts None as no leaf


def _is_collection(name: Leaf) -> bool:
    if name == ARRAYS:
        return True
    try:
        nnx.variable_type_from_name(name)
    except (TypeError, ValueError):
        return False
    return True


def _collection(path: Path, leaf: Array) -> str:
    del path
    return collection_of(type(leaf)) if _is_variable(leaf) else ARRAYS


def _names(keys: Leaf) -> Path:
    return tuple(key_name(key) for key in keys)


def _nested(
    leaves: Mapping[Path, Shaped], collection: Callable[[Path, object], str]
) -> dict[str, PyTree]:
    tree: dict[str, PyTree] = {}
    for path, leaf in leaves.items():
        if isinstance(leaf, nnx.RngState):
            continue
        inner = tree.setdefault(collection(path, leaf), {})
        for part in path[:-1]:
            inner = inner.setdefault(part, {})
        inner[path[-1]] = _with_text_keys(variable_value(leaf) if _is_variable(leaf) else leaf)
    return tree


def _with_text_keys(tree: PyTree) -> object:
    if not isinstance(tree, Mapping):
        return tree
    return {str(name): _with_text_keys(part) for name, part in tree.items()}
