"""Paths of variables, as text (W1)."""

from __future__ import annotations

import jax
from flax.core import meta

from flaxlayer_core.typing import Array, Path, PyTree

__all__ = [
    "escape_part",
    "flatten_with_paths",
    "format_path",
    "key_name",
    "parse_path",
]


def escape_part(part: str) -> str:
    """Escapes what separates parts, so that a path can be taken apart again.

    Args:
        part: One name, such as a module's or a variable's.

    Returns:
        The name with `%` and `/` percent-encoded.

    Example:

    ```python
    >>> escape_part("a/b")
    'a%2Fb'

    ```
    """
    return part.replace("%", "%25").replace("/", "%2F")


def format_path(path: Path) -> str:
    """Writes a path as text.

    Args:
        path: Names from the collection down.

    Returns:
        The escaped names joined by `/`.

    Example:

    ```python
    >>> format_path(("params", "Dense_0", "kernel"))
    'params/Dense_0/kernel'

    ```
    """
    return "/".join(escape_part(part) for part in path)


def parse_path(text: str) -> Path:
    """Reads what `format_path` wrote.

    Args:
        text: A path as text.

    Returns:
        The names from the collection down.

    Example:

    ```python
    >>> parse_path("params/a%2Fb/kernel")
    ('params', 'a/b', 'kernel')

    ```
    """
    return tuple(part.replace("%2F", "/").replace("%25", "%") for part in text.split("/"))


def key_name(entry: object) -> str:
    """Returns one entry of a JAX key path as text.

    Args:
        entry: Such as `jax.tree_util.DictKey`.

    Returns:
        The key, the index, or the name of the attribute.

    Example:

    ```python
    >>> key_name(jax.tree_util.SequenceKey(1))
    '1'

    ```
    """
    for attribute in ("key", "idx", "name"):
        if hasattr(entry, attribute):
            return str(getattr(entry, attribute))
    return str(entry)


def _is_box(value: object) -> bool:
    return isinstance(value, meta.AxisMetadata)


def flatten_with_paths(tree: PyTree) -> tuple[list[tuple[Path, Array]], jax.tree_util.PyTreeDef]:
    """Flattens a tree of variables to its arrays, each with its path.

    A box (`nn.Partitioned` and other `AxisMetadata`) is part of the structure and adds nothing to
    the path: the path of a boxed kernel is that of a plain one.

    Args:
        tree: A tree of variables.

    Returns:
        `(path, array)` pairs in the order of `jax.tree_util`, and the structure with its boxes.

    Example:

    ```python
    >>> import flax.linen as nn
    >>> pairs, _ = flatten_with_paths({"params": {"kernel": nn.Partitioned(1.0, ("x",))}})
    >>> pairs
    [(('params', 'kernel'), 1.0)]

    ```
    """
    treedef = jax.tree_util.tree_structure(tree)
    pairs: list[tuple[Path, Array]] = []
    for keys, value in jax.tree_util.tree_flatten_with_path(tree, is_leaf=_is_box)[0]:
        path = tuple(key_name(key) for key in keys)
        inner = jax.tree_util.tree_flatten_with_path(value)[0]
        single = len(inner) == 1
        for suffix, leaf in inner:
            pairs.append((path if single else path + tuple(map(key_name, suffix)), leaf))
    return pairs, treedef
