"""Trees that came out of a file: of names, and of arrays of numbers (W2, S6)."""

from __future__ import annotations

import numpy as np

from flaxlayer.saving.stored_dtypes import is_numeric
from flaxlayer.typing import PyTree

__all__ = ["MAX_DEPTH", "find_odd_leaf"]

MAX_DEPTH = 100


def find_odd_leaf(tree: PyTree) -> str:
    """Tells what of a tree is neither an array of numbers nor a dict or a list of such.

    Args:
        tree: What a reader made of a file.

    Returns:
        The path of the first such part and what it is, "" where there is none.

    Example:

    ```python
    >>> find_odd_leaf({"params": {"bias": 1.0, "name": "x"}})
    "'params/name': str"

    ```
    """
    left: list[tuple[tuple[str | int, ...], PyTree]] = [((), tree)]
    while left:
        path, node = left.pop()
        problem = _problem(node, len(path))
        if problem:
            return f"{'/'.join(map(str, path))[:200]!r}: {problem}"
        if isinstance(node, dict):
            left += [((*path, key), part) for key, part in reversed(node.items())]
        elif isinstance(node, list | tuple):
            left += [((*path, index), part) for index, part in enumerate(node)]
    return ""


def _problem(node: PyTree, depth: int) -> str:
    if depth > MAX_DEPTH:
        return "nested too deep"
    if isinstance(node, dict):
        kinds = {type(key) for key in node}
        return "" if kinds <= {str} or kinds <= {int} else "keys that are no names"
    if node is None or isinstance(node, list | tuple | bool | int | float | complex):
        return ""
    dtype = getattr(node, "dtype", None)
    if isinstance(dtype, np.dtype) and is_numeric(dtype):
        return ""
    return type(node).__name__ if dtype is None else f"an array of {dtype}"[:200]
