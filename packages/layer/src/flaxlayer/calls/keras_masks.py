"""Keras masks around a call of a Flax module: where they go, and what carries them on (A4)."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras

from flaxlayer.calls.runner import Runner
from flaxlayer.compat import private_keras
from flaxlayer.inputs import array_specs
from flaxlayer.typing import Args, Array, Kwargs, PyTree
from flaxlayer_core import (
    ArgumentStructure,
    ArraySpec,
    CallArgumentError,
    MaskForm,
    MaskPlan,
    MaskQuestion,
    add_masks,
    argument_names,
    holding,
    partition,
    plan_masks,
)

__all__ = ["MaskRecord", "MaskRouter", "is_leading", "masks_of"]

Masks = Mapping[int, Array]


@dataclass(eq=False)
class MaskRecord:
    """What one `Layer.__call__` knows of masks, from its arguments to its outputs.

    Attributes:
        router: What hands the masks of the layer on.
        masks: The masks that travel on the arrays of the call, by their position.
        given: Whether the caller gave a `mask` himself, which reaches the method unchanged.
        carried: For each output, as Keras flattens them, the position of the array whose mask it
            carries on; None before the method ran.
        first: The positions of the arrays of the first argument.
    """

    router: MaskRouter
    masks: Masks
    given: bool = False
    carried: list[int | None] | None = None
    first: list[int] = field(default_factory=list)

    def output_masks(self, previous_mask: PyTree) -> list[Array]:
        """Returns the mask of each output.

        Args:
            previous_mask: The masks of the first argument, which a subclass may have changed.
        """
        assert self.carried is not None
        flat, masks = keras.tree.flatten(previous_mask), dict(self.masks)
        changed = not self.given or not self.router.calls_method
        if changed and len(flat) == len(self.first):
            masks |= dict(zip(self.first, flat, strict=True))
        return [None if place is None else masks.get(place) for place in self.carried]


_record: contextvars.ContextVar[MaskRecord | None] = contextvars.ContextVar(
    "flaxlayer_masks", default=None
)


def masks_of(arrays: Sequence[Array]) -> dict[int, Array]:
    """Returns the masks that travel on arrays, by the position of the array."""
    pairs = ((index, private_keras.get_mask(array)) for index, array in enumerate(arrays))
    return {index: mask for index, mask in pairs if mask is not None}


def is_leading(mask: PyTree, args: Args) -> bool:
    """Tells whether a mask is one of Keras: boolean, of the first dimensions of its array (A4).

    Args:
        mask: A mask, or masks in the structure of the first argument; None is one of Keras.
        args: The positional arguments of the call.
    """
    masks = keras.tree.flatten(mask)
    arrays = keras.tree.flatten(args[0]) if args else []
    return mask is None or (len(masks) == len(arrays) and all(map(_is_leading, masks, arrays)))


def _is_leading(mask: Array, array: Array) -> bool:
    if mask is None:
        return True
    shape = tuple(mask.shape)
    return (
        keras.backend.standardize_dtype(mask.dtype) == "bool"
        and 0 < len(shape) <= len(array.shape)
        and shape == tuple(array.shape)[: len(shape)]
    )


class MaskRouter:
    """Hands the masks of a layer to its method, and on to its outputs.

    Args:
        runner: Runs the method.
        calls_method: Whether a call of the layer is one of its method, or a subclass has a `call`
            of its own (W5).
    """

    def __init__(self, runner: Runner, *, calls_method: bool) -> None:
        self._runner, self._method = runner, runner.method
        self.calls_method = calls_method
        self._recorded_mask = False

    @property
    def record(self) -> MaskRecord | None:
        """What is known of the call of this layer that is under way, if one is."""
        record = _record.get()
        return record if record is not None and record.router is self else None

    @contextlib.contextmanager
    def recording(self, arrays: Sequence[Array], *, given: bool = False) -> Iterator[MaskRecord]:
        """Opens a record for a call.

        Args:
            arrays: The arrays of its arguments.
            given: Whether the caller gave a `mask`.

        Yields:
            The record.
        """
        with holding(_record, MaskRecord(self, masks_of(arrays), given)) as record:
            yield record

    # Into the method.

    def given_mask(self, args: Args, kwargs: Kwargs) -> dict[str, PyTree]:
        """Returns the keyword arguments with a mask of the caller where the method takes it.

        Raises:
            CallArgumentError: If it takes none.
        """
        mask = kwargs.get("mask")
        others = {name: value for name, value in kwargs.items() if name != "mask"}
        if mask is None or self._travels(args, others, mask):
            return others
        method = self._method
        if method.accepts("mask"):
            return {**others, "mask": mask}
        if method.mask_arg is not None:
            return {**others, method.mask_arg: mask}
        if self._records_masks(mask):
            return others
        raise CallArgumentError(
            f"{self._runner.title} got a mask, and takes none.",
            expected=f"{method.title}{method.signature}",
            found="an argument mask=...",
            fix="Leave it out; a mask that travels on the input goes on to the outputs by itself. "
            "Name the argument that takes a mask with mask_arg='name' if it has another name.",
            law="A4",
        )

    def _records_masks(self, mask: Array) -> bool:
        # Older files of functional models recorded the mask that travels as an argument.
        if isinstance(mask, keras.KerasTensor) and self._runner.hosted.from_file:
            self._recorded_mask = True
        return self._recorded_mask

    def _travels(self, args: Args, kwargs: Kwargs, mask: Array) -> bool:
        # Keras's containers pass on what travels already.
        arrays, _ = partition(args, kwargs)
        given = [part for part in keras.tree.flatten(mask) if part is not None]
        travelling = list(masks_of(arrays).values())
        return all(any(part is other for other in travelling) for part in given)

    def with_masks(
        self,
        arrays: Sequence[Array],
        structure: ArgumentStructure,
        masks: Masks,
        *,
        bring: Callable[[Any, MaskForm], Any] | None = None,
    ) -> tuple[list[Array], ArgumentStructure]:
        """Returns the arrays and the structure of a call with its masks in their places."""
        uses = self._plan(arrays, structure, masks).uses if masks else ()
        if not uses:
            return list(arrays), structure
        args, kwargs = structure.combine(arrays)
        completed = add_masks(self._method, args, kwargs, uses, masks, bring or _in_form)
        return partition(args, completed)

    def masked_structure(
        self, arrays: Sequence[Array], structure: ArgumentStructure, masks: Masks
    ) -> ArgumentStructure:
        """Returns the structure alone; no mask is brought into its form for it."""
        return self.with_masks(arrays, structure, masks, bring=lambda mask, _: mask)[1]

    def _plan(
        self, arrays: Sequence[Array], structure: ArgumentStructure, masks: Masks
    ) -> MaskPlan:
        specs = tuple(map(_without_symbols, array_specs(arrays)))
        ranks = {
            i: len(m.shape) for i, m in masks.items() if 0 < len(m.shape) <= len(specs[i].shape)
        }
        if not ranks:
            return MaskPlan()
        kinds = tuple((len(spec.shape), spec.dtype) for spec in specs)
        # Numbers of Python change no form.
        form = structure.trace_numbers(arrays)[1]
        key = (form, kinds, tuple(ranks.items()))
        cache, hosted = self._runner.cache, self._runner.hosted
        plan = cache.mask_plans.get(key)
        if plan is None:
            question = MaskQuestion(self._runner.module_call(structure), specs, ranks)
            built = hosted.weights is not None
            if built:
                question = replace(question, known=hosted.spec)
            plan = plan_masks(question)
            if built:
                cache.mask_plans[key] = plan
        return plan

    # Out of the method.

    def carry(
        self,
        arrays: Sequence[Array],
        structure: ArgumentStructure,
        masks: Masks,
        leaves: Sequence[Array],
        outputs: PyTree,
    ) -> None:
        """Keeps in the record of the call what the leaves of its outputs carry on.

        Args:
            arrays: The arrays of the arguments, without masks.
            structure: Their structure.
            masks: The masks that travel on them.
            leaves: The arrays of the outputs, in the order of `jax.tree_util`.
            outputs: The outputs as Keras sees them.
        """
        record = self.record
        if record is None:
            return
        flat = keras.tree.flatten(outputs)
        if not self.calls_method:
            # What travels on the inputs of a subclass, handed to the method or not.
            masks = {i: mask for i, mask in record.masks.items() if i < len(arrays)}
        if not masks and not record.given:
            record.masks, record.carried = {}, [None] * len(flat)
            return
        record.first = self._first_places(structure)
        given = self._leading_mask(*structure.combine(arrays))
        record.masks, kept = given or (masks, self._plan(arrays, structure, masks).kept)
        places = dict(zip(map(id, leaves), kept, strict=False))
        record.carried = [places.get(id(leaf)) for leaf in flat]

    def _first_places(self, structure: ArgumentStructure) -> list[int]:
        names = argument_names(self._method, structure)
        first = self._method.first_of(names) if names else ""
        return [index for index, name in enumerate(names) if name == first]

    def _leading_mask(
        self, args: Args, kwargs: Kwargs
    ) -> tuple[Masks, Sequence[int | None]] | None:
        # One that the caller gave travels on where it is one of Keras's form.
        name = self._method.mask_arg
        given = kwargs.get(name) if name is not None else None
        if given is None or not hasattr(given, "shape"):
            return None
        others = {key: value for key, value in kwargs.items() if key != name}
        arrays, structure = partition(args, others)
        place = next(iter(self._first_places(structure)), None)
        if place is None or len(given.shape) > len(arrays[place].shape):
            return None
        plan = self._plan(arrays, structure, {place: given})
        takes = any(use.argument == name and use.form is MaskForm.LEADING for use in plan.uses)
        return ({place: given}, plan.kept) if takes else None

    def output_masks(self, inputs: PyTree, previous_mask: PyTree) -> list[Array] | None:
        """Returns the masks of the outputs; None where they are those of the inputs.

        Args:
            inputs: The first argument of the method.
            previous_mask: Its mask, or masks in its structure.
        """
        record = self.record
        if record is not None and record.carried is not None:
            return record.output_masks(previous_mask)
        if not self.calls_method:
            return None
        arrays, structure = partition((inputs,), {})
        flat = keras.tree.flatten(previous_mask)
        masks = {i: mask for i, mask in enumerate(flat) if mask is not None}
        kept = self._plan(arrays, structure, masks).kept if masks else ()
        return [None if place is None else masks[place] for place in kept]


def _without_symbols(spec: ArraySpec) -> ArraySpec:
    # Keras traces the `call` of a subclass with symbolic sizes.
    dims = (dim if isinstance(dim, int) else None for dim in spec.shape)
    return ArraySpec(tuple(dims), spec.dtype)


def _in_form(mask: Array, form: MaskForm) -> PyTree:
    if isinstance(mask, keras.KerasTensor):
        return keras.KerasTensor(form.shape(mask.shape), "bool")
    if keras.backend.standardize_dtype(mask.dtype) != "bool":
        mask = keras.ops.cast(mask, "bool")
    return mask if form is MaskForm.LEADING else mask[..., None, None, :]
