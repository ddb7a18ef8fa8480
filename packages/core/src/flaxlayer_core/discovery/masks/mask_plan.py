"""What a Keras mask is to a method: which argument gets it, and which outputs keep it (A4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import jax

from flaxlayer_core.discovery.masks.mask_arguments import (
    MaskForm,
    MaskUse,
    add_masks,
    argument_names,
    array_paths,
)
from flaxlayer_core.discovery.masks.mask_sizes import Shapes, Sizes, different_sizes
from flaxlayer_core.discovery.masks.mask_trials import outputs_at
from flaxlayer_core.discovery.module_call import ModuleCall
from flaxlayer_core.discovery.module_spec import ModuleSpec
from flaxlayer_core.shapes import ArraySpec
from flaxlayer_core.typing import Function, PyTree, Variables

__all__ = ["MaskPlan", "MaskQuestion", "plan_masks"]


@dataclass(frozen=True)
class MaskPlan:
    """What becomes of the masks of a call.

    Attributes:
        uses: The arguments that get one.
        kept: For each array of the outputs the position of the array whose mask it carries on,
            None for an output without a mask.
    """

    uses: tuple[MaskUse, ...] = ()
    kept: tuple[int | None, ...] = ()


@dataclass(frozen=True, eq=False)
class MaskQuestion:
    """A call whose arrays have masks.

    Attributes:
        call: The module and its call, without the masks.
        specs: The arrays.
        ranks: The number of dimensions of each mask, by the position of its array.
        known: What is known of the module, None if it is not built.
    """

    call: ModuleCall
    specs: tuple[ArraySpec, ...]
    ranks: Mapping[int, int]
    known: ModuleSpec | None = None

    @property
    def variables(self) -> Variables | None:
        """What the layer stores, abstract."""
        return None if self.known is None else self.known.variables

    @property
    def streams(self) -> tuple[str, ...]:
        """The random streams that calls are known to draw from."""
        if self.known is None:
            return ()
        return (*self.known.training.streams, *self.known.inference.streams)


def plan_masks(question: MaskQuestion) -> MaskPlan:
    """Finds which arguments of a method take the masks of a call, and which outputs keep them.

    The method is evaluated abstractly, with sizes that are all different: never with those of the
    call alone, as long as the module takes others.

    Args:
        question: The call.

    Returns:
        What was found; nothing where the module cannot be evaluated.

    Example:

    ```python
    >>> import flax.linen as nn, numpy as np
    >>> from flaxlayer_core.trees.arguments import partition
    >>> from flaxlayer_core.modules.linen import LinenModule
    >>> from flaxlayer_core.modules.signatures import MethodSignature
    >>> module = LinenModule(nn.SelfAttention(2))
    >>> method = MethodSignature.from_method(module, None)
    >>> x = ArraySpec((4, 4, 4), np.dtype("float32"))
    >>> call = ModuleCall(module, method, method, partition((x,), {})[1])
    >>> plan = plan_masks(MaskQuestion(call, (x,), {0: 2}))
    >>> plan.uses[0].form, plan.kept
    (<MaskForm.KEYS: 'keys'>, (0,))

    ```
    """
    search = _Search(question)
    for sizes in different_sizes(question.specs, question.ranks, search.known_sizes()):
        for variables in search.variables:
            found = search.decide(sizes, variables)
            if found is not None:
                return found
    return MaskPlan(search.insisted())


@dataclass(frozen=True, eq=False)
class _Search:
    question: MaskQuestion

    @property
    def call(self) -> ModuleCall:
        return self.question.call

    @cached_property
    def names(self) -> list[str]:
        """The argument that each array belongs to."""
        return argument_names(self.call.method, self.call.structure)

    @cached_property
    def first(self) -> str:
        """The first argument with arrays."""
        return self.call.method.first_of(self.names)

    @property
    def variables(self) -> tuple[Variables | None, ...]:
        # What is stored may fix a size that another init would not.
        stored = self.question.variables
        return (stored, None) if stored is not None else (None,)

    def known_sizes(self) -> set[int]:
        leaves = jax.tree_util.tree_leaves(self.question.variables or {})
        return {size for leaf in leaves for size in leaf.shape}

    # What is tried.

    @cached_property
    def slots(self) -> list[tuple[str, list[int | None]]]:
        """The arguments that may take a mask, and whose masks."""
        method, masked = self.call.method, list(self.question.ranks)
        structs = [jax.ShapeDtypeStruct((), spec.dtype) for spec in self.question.specs]
        own = method.masked_by_caller(*self.call.structure.combine(structs))
        slots: list[tuple[str, list[int | None]]] = []
        if method.mask_arg is not None:
            slots.append((method.mask_arg, [*self._nested_first(), *masked]))
        # As in Keras: with several arguments, the mask of `query` goes to `query_mask`.
        if method.takes_masks and len(set(self.names)) > 1:
            for name in dict.fromkeys(self.names[index] for index in masked):
                slots.append((f"{name}_mask", [i for i in masked if self.names[i] == name]))
        return [slot for slot in slots if slot[0] not in own and method.takes(slot[0])]

    def _nested_first(self) -> list[None]:
        paths = array_paths(self.call.structure)
        within = [path for path, name in zip(paths, self.names, strict=True) if name == self.first]
        masked = any(self.names[index] == self.first for index in self.question.ranks)
        return [None] if masked and all(len(path) > 2 for path in within) else []

    def _candidates(self, name: str, sources: Sequence[int | None]) -> Iterator[MaskUse]:
        for source in sources:
            yield MaskUse(name, MaskForm.LEADING, source)
        for source in sources:
            if source is not None and self.question.ranks[source] > 1:
                yield MaskUse(name, MaskForm.KEYS, source)

    def insisted(self) -> tuple[MaskUse, ...]:
        """What the user asked for, though the method seems to take no mask there."""
        method = self.call.method
        named = [slot for slot in self.slots if method.mask_named and slot[0] == method.mask_arg]
        return tuple(MaskUse(name, MaskForm.LEADING, sources[0]) for name, sources in named)

    def decide(self, sizes: Sizes, variables: Variables | None) -> MaskPlan | None:
        """Returns what the method does at these sizes, None if it does not take them."""
        plain = self._outputs(sizes.first, variables, ())
        uses, first = self._accepted(sizes.first, variables, plain)
        if first is None:
            return None
        second = self._outputs(sizes.second, variables, uses)
        if second is None and uses:
            second = self._outputs(sizes.second, variables, ())
            # Where the method takes these sizes, the first ones fitted by chance.
            uses, first = (uses, first) if second is None or plain is None else ((), plain)
        return MaskPlan(uses or self.insisted(), self._kept(sizes, first, second))

    def _accepted(
        self, shapes: Shapes, variables: Variables | None, plain: object
    ) -> tuple[tuple[MaskUse, ...], PyTree]:
        uses: tuple[MaskUse, ...] = ()
        outputs = plain
        for name, sources in self.slots:
            for use in self._candidates(name, sources):
                found = self._outputs(shapes, variables, (*uses, use))
                if found is not None and _agree(found, plain):
                    uses, outputs = (*uses, use), found
                    break
        return uses, outputs

    def _outputs(
        self, shapes: Shapes, variables: Variables | None, uses: Sequence[MaskUse]
    ) -> PyTree:
        arrays = [
            jax.ShapeDtypeStruct(shape, spec.dtype)
            for shape, spec in zip(shapes, self.question.specs, strict=True)
        ]
        masks = {
            i: jax.ShapeDtypeStruct(shapes[i][:r], bool) for i, r in self.question.ranks.items()
        }
        args, kwargs = self.call.structure.combine(arrays)
        kwargs = add_masks(self.call.method, args, kwargs, uses, masks)
        # What inference never looks at, training may: the mask of a norm.
        method = self.call.method
        flagged = bool(method.flags or method.attribute or self.call.flax_module.facts.has_modes)
        modes = (False, True) if self.slots and flagged else (False,)
        return outputs_at(self.call, args, kwargs, variables, modes, self.question.streams)

    # What the outputs keep.

    def _kept(self, sizes: Sizes, first: PyTree, second: PyTree) -> tuple[int | None, ...]:
        shapes = _shapes_of(first[0])
        others = shapes if second is None else _shapes_of(second[0])
        travelling = [i for i in self.question.ranks if self.names[i] == self.first]
        kept: list[int | None] = []
        for place, pair in enumerate(zip(shapes, others, strict=False)):
            found = [index for index in travelling if self._keeps(sizes, index, *pair)]
            # Several masks of one form: in their order.
            same = travelling[place] if place < len(travelling) else None
            kept.append(same if same in found else next(iter(found), None))
        return tuple(kept)

    def _keeps(
        self, sizes: Sizes, index: int, first: tuple[int, ...], second: tuple[int, ...]
    ) -> bool:
        rank, shape = self.question.ranks[index], sizes.first[index]
        if first[:rank] != shape[:rank]:
            return False
        if sizes.time_varies or rank < 2:
            return second == first or second[:rank] == sizes.second[index][:rank]
        # The module takes no other length: another dimension may be as long by chance.
        return len(first) >= len(shape) or not set(shape[1:rank]) & set(shape[rank:])


def _agree(masked: object, plain: object) -> bool:
    # A mask changes no shape: what broadcasts it into another means something else by it.
    structure: Function = jax.tree_util.tree_structure
    if plain is None or structure(masked) != structure(plain):
        return True
    return _shapes_of(masked) == _shapes_of(plain)


def _shapes_of(outputs: PyTree) -> list[tuple[int, ...]]:
    return [tuple(leaf.shape) for leaf in jax.tree_util.tree_leaves(outputs)]
