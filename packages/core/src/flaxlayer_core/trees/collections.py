"""Trees of collections as plain dicts, split by role and joined again (C1)."""

from __future__ import annotations

from collections.abc import Mapping

from flax.core import FrozenDict

from flaxlayer_core.errors import MatchVariablesError
from flaxlayer_core.trees.roles import Role
from flaxlayer_core.typing import PyTree, Variables

__all__ = ["merge_collections", "normalize_variables", "split_collections"]


def normalize_variables(variables: PyTree, *, title: str = "variables") -> dict[str, PyTree]:
    """Returns a tree of variables as plain dicts (C1).

    Args:
        variables: A dict or `FrozenDict` of collections.
        title: What to name in an error.

    Returns:
        The same tree of plain dicts; leaves are not copied.

    Raises:
        MatchVariablesError: If it is not a mapping of collections.

    Example:

    ```python
    >>> from flax.core import freeze
    >>> normalize_variables(freeze({"params": {"bias": 1.0}}))
    {'params': {'bias': 1.0}}

    ```
    """
    if not isinstance(variables, Mapping | FrozenDict):
        raise MatchVariablesError(
            f"{title}: what was given is no tree of variables.",
            expected="a mapping of collections, as `Module.init` returns: {'params': {...}}",
            found=type(variables).__name__,
            fix="Pass the whole result of `Module.init`; flaxlayer.read_variables reads a file.",
            law="C1",
        )
    return {name: _plain(tree) for name, tree in variables.items()}


def _plain(tree: PyTree) -> PyTree:
    # Whatever mapping a tree is kept in, such as the dict that Keras makes of an attribute.
    if isinstance(tree, Mapping | FrozenDict):
        return {name: _plain(part) for name, part in tree.items()}
    return tree


def split_collections(
    variables: Variables, roles: Mapping[str, Role]
) -> dict[Role, dict[str, PyTree]]:
    """Splits a tree of variables by role; `merge_collections` undoes it (C1).

    Args:
        variables: A tree of collections.
        roles: The role of each; a collection without one is transient.

    Returns:
        A tree for each of the three roles.

    Example:

    ```python
    >>> parts = split_collections({"params": {}, "stats": {"n": 1}}, {"params": Role.TRAINABLE})
    >>> parts[Role.TRANSIENT]
    {'stats': {'n': 1}}

    ```
    """
    parts: dict[Role, dict[str, PyTree]] = {role: {} for role in Role}
    for name, collection in variables.items():
        parts[roles.get(name, Role.TRANSIENT)][name] = collection
    return parts


def merge_collections(parts: Mapping[Role, Mapping[str, object]]) -> dict[str, PyTree]:
    """Joins what `split_collections` split (C1).

    Args:
        parts: A tree for each role.

    Returns:
        One tree of collections.

    Example:

    ```python
    >>> merge_collections({Role.STATE: {"stats": {"n": 1}}})
    {'stats': {'n': 1}}

    ```
    """
    return {name: tree for part in parts.values() for name, tree in part.items()}
