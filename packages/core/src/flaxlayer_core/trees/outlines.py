"""The form of a tree, to be filled with other leaves than the classes in it are made of (A5).

A Keras tensor or a placeholder is not what a user's class expects, and its constructor may look. So
an object of it is made by the module's own means once, and then copied part by part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax

from flaxlayer_core.trees.container_parts import Container, is_container
from flaxlayer_core.trees.outputs import Sealed, Static, unwrap_statics
from flaxlayer_core.trees.parts import Apart, KeyData, put_together
from flaxlayer_core.typing import Array, Leaf, PyTree, Shaped

__all__ = ["Outline", "exchange_leaves", "outline_outputs"]


@dataclass(frozen=True)
class _Place:
    index: int


@dataclass(frozen=True)
class Outline:
    """The form of outputs: what is in them but the arrays.

    Attributes:
        form: The outputs without objects of users' classes, a place for each array.
        wrapped: The outputs as `wrap_statics` gives them, a place for each array.
    """

    form: PyTree
    wrapped: PyTree

    def fill(self, arrays: Sequence[Array]) -> PyTree:
        """Returns outputs of this form; no constructor of a user's class runs.

        Args:
            arrays: One for each array, in the order of `jax.tree_util`.
        """
        if self.form is None:
            treedef = jax.tree_util.tree_structure(self.wrapped)
            return unwrap_statics(jax.tree_util.tree_unflatten(treedef, list(arrays)))
        return _filled(self.form, arrays)


def outline_outputs(wrapped: object) -> Outline:
    """Returns the form of outputs.

    Args:
        wrapped: What `wrap_statics` returned, abstract or not.

    Example:

    ```python
    >>> import numpy as np
    >>> from flaxlayer_core.trees.outputs import wrap_statics
    >>> outline = outline_outputs(wrap_statics((np.ones(2), "relu")))
    >>> outline.fill([7])
    (7, 'relu')

    ```
    """
    leaves, treedef = jax.tree_util.tree_flatten(wrapped)
    forms: list[Leaf] = []

    def trace(leaves: list[Shaped]) -> None:
        # A class of the user's gets what it gets from the module when that is traced.
        forms.append(_Outlining(leaves).run(jax.tree_util.tree_unflatten(treedef, leaves)))

    jax.eval_shape(trace, leaves)
    # Where an object does not hold what it was made of, it has to be made of the arrays.
    form = forms[0] if _is_complete(forms[0], len(leaves)) else None
    places = [_Place(index) for index in range(len(leaves))]
    return Outline(form, jax.tree_util.tree_unflatten(treedef, places))


def exchange_leaves(tree: PyTree, old: Sequence[object], new: Sequence[object]) -> PyTree:
    """Returns a tree with others in the places of some leaves; no constructor of a class runs.

    Args:
        tree: Any pytree.
        old: Leaves of it, each another object.
        new: What stands in their places in the result.

    Returns:
        The new tree; None if an object does not hold what it was made of.

    Example:

    ```python
    >>> import numpy as np
    >>> old = [np.ones(()), np.ones(())]
    >>> exchange_leaves({"a": old}, old, [1, 2])
    {'a': [1, 2]}

    ```
    """
    form = _Outlining(old, open_keys=False).run(tree)
    return _filled(form, new) if _is_complete(form, len(old)) else None


def _is_complete(form: object, count: int) -> bool:
    return len(_places(form)) == count


class _Outlining:
    def __init__(self, leaves: Sequence[Array], *, open_keys: bool = True) -> None:
        self._open_keys = open_keys
        self._places = {id(leaf): _Place(index) for index, leaf in enumerate(leaves)}
        self._above: list[int] = []

    def run(self, value: PyTree) -> PyTree:
        if id(value) in self._places:
            return self._places[id(value)]
        kind = type(value)
        if kind is Static:
            return value.value
        if kind is KeyData and self._open_keys:
            return self.run(value.data)
        if kind is Apart:
            return self.run(jax.tree_util.tree_unflatten(value.treedef, self._with_keys(value)))
        if kind is Sealed:
            return self.run(value.flat_object())
        if kind in (list, tuple):
            return kind(map(self.run, value))
        if kind is dict:
            return {key: self.run(part) for key, part in value.items()}
        if kind is not Container and not _is_object(value):
            return value
        return self._object(value)

    def _with_keys(self, apart: Apart) -> list[Leaf]:
        leaves = []
        for leaf in apart.leaves:
            key = put_together(leaf) if self._open_keys and type(leaf) is KeyData else leaf
            if key is not leaf:
                self._places[id(key)] = self._places[id(leaf.data)]
            leaves.append(key)
        return leaves

    def _object(self, value: object) -> PyTree:
        if id(value) in self._above:  # in itself
            return value
        parts = value if isinstance(value, Container) else Container.of(value)
        self._above.append(id(value))
        children = [self.run(part) for part in parts.children]
        self._above.pop()
        return parts.with_children(children)


def _is_object(value: object) -> bool:
    if value is None or isinstance(value, type):
        return False
    return is_container(value) or not jax.tree_util.all_leaves([value])


def _parts_of(form: PyTree) -> Sequence[Leaf]:
    if isinstance(form, Container):
        return form.children
    if type(form) is dict:
        return list(form.values())
    return form if type(form) in (list, tuple) else ()


def _places(form: object) -> set[int]:
    if isinstance(form, _Place):
        return {form.index}
    return set().union(*map(_places, _parts_of(form)))


def _filled(form: PyTree, arrays: Sequence[Array]) -> PyTree:
    if isinstance(form, _Place):
        return arrays[form.index]
    parts = [_filled(part, arrays) for part in _parts_of(form)]
    if isinstance(form, Container):
        return form.with_children(parts).build()
    if type(form) is dict:
        return dict(zip(form, parts, strict=True))
    return type(form)(parts) if type(form) in (list, tuple) else form
