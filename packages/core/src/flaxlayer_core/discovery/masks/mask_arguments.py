"""The arguments of a call that take a Keras mask, and in which form (A4)."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jax

from flaxlayer_core.modules.signatures import MethodSignature
from flaxlayer_core.trees.arguments import ArgumentStructure, partition
from flaxlayer_core.trees.array_types import is_array
from flaxlayer_core.trees.parts import whole_path
from flaxlayer_core.typing import Args, Array, Kwargs, Leaf, PyTree, Shaped, Size

__all__ = ["MaskForm", "MaskUse", "add_masks", "argument_names", "array_paths"]


class MaskForm(enum.Enum):
    """In which form an argument takes a mask of `[..., time]`.

    Attributes:
        LEADING: As it is: the leading dimensions of the masked array.
        KEYS: Over the keys of an attention: `[..., 1, 1, time]`.
    """

    LEADING = "leading"
    KEYS = "keys"

    def shape(self, shape: Sequence[Size]) -> tuple[Size, ...]:
        """Returns the shape in this form of a mask of a shape.

        Example:

        ```python
        >>> MaskForm.KEYS.shape((2, 5))
        (2, 1, 1, 5)

        ```
        """
        leading = self is MaskForm.LEADING
        return tuple(shape) if leading else (*shape[:-1], 1, 1, shape[-1])


@dataclass(frozen=True)
class MaskUse:
    """One argument that gets a mask.

    Attributes:
        argument: Its name.
        form: The form in which it takes the mask.
        source: The position of the array whose mask it is; None for the masks of the first
            argument in its structure, as Keras passes them.
    """

    argument: str
    form: MaskForm
    source: int | None


def argument_names(call: MethodSignature, structure: ArgumentStructure) -> list[str]:
    """Returns the name of the argument that each array of a call belongs to.

    Args:
        call: The method.
        structure: What `partition` returned.

    Returns:
        Names in the order of the arrays.
    """
    return [
        owner.key if isinstance(owner, jax.tree_util.DictKey) else call.positional_name(owner.idx)
        for _, owner, *_ in array_paths(structure)
    ]


def array_paths(structure: ArgumentStructure) -> list[tuple[Leaf, ...]]:
    """Returns JAX's path to each array in `(args, kwargs)`, through what was taken apart."""
    leaves = range(structure.treedef.num_leaves)
    tree = jax.tree_util.tree_unflatten(structure.treedef, leaves)
    statics = {index for index, _ in structure.statics}
    pairs = enumerate(jax.tree_util.tree_flatten_with_path(tree)[0])
    return [whole_path(path) for index, (path, _) in pairs if index not in statics]


def _struct_in_form(mask: PyTree, form: MaskForm) -> Shaped:
    return jax.ShapeDtypeStruct(form.shape(mask.shape), bool)


def add_masks(
    call: MethodSignature,
    args: Args,
    kwargs: Kwargs,
    uses: Sequence[MaskUse],
    masks: Mapping[int, Array],
    convert: Callable[[Array, MaskForm], Array] = _struct_in_form,
) -> dict[str, PyTree]:
    """Completes the keyword arguments of a call with masks.

    Args:
        call: The method.
        args: Positional arguments.
        kwargs: Keyword arguments.
        uses: Which arguments get a mask.
        masks: The masks by the position of their arrays.
        convert: Brings a mask into a form.

    Returns:
        The keyword arguments with the masks.
    """
    added = dict(kwargs)
    for use in uses:
        if use.source is not None:
            added[use.argument] = convert(masks[use.source], use.form)
        else:
            added[use.argument] = _structured(call, args, kwargs, use.form, masks, convert)
    return added


def _structured(
    call: MethodSignature,
    args: Args,
    kwargs: Kwargs,
    form: MaskForm,
    masks: Mapping[int, Array],
    convert: Callable[[Array, MaskForm], Array],
) -> PyTree:
    names = argument_names(call, partition(args, kwargs)[1])
    first = call.first_of(names)
    places = iter(index for index, name in enumerate(names) if name == first)

    def mask_of(leaf: PyTree) -> Array | None:
        mask = masks.get(next(places, -1)) if is_array(leaf) else None
        return None if mask is None else convert(mask, form)

    named = {call.positional_name(index): arg for index, arg in reversed(list(enumerate(args)))}
    return jax.tree_util.tree_map(mask_of, {**kwargs, **named}[first])
