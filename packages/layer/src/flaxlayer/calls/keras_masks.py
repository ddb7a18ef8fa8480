"""Keras masks around a call of a Flax module: where they go, and what carries them on (A4)."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras

from flaxlayer.calls.runner import ModuleRunner
from flaxlayer.compat import private_keras as compat
from flaxlayer.inputs import array_specs
from flaxlayer_core import (
    ArgumentStructure,
    ArraySpec,
    CallArgumentError,
    MaskForm,
    MaskPlan,
    MaskQuestion,
    MethodSignature,
    add_masks,
    argument_names,
    partition,
    plan_masks,
)

__all__ = ["MaskRecord", "MaskingLayer", "masks_of"]

Masks = Mapping[int, Any]


@dataclass(eq=False)
class MaskRecord:
    """What one `Layer.__call__` knows of masks, from its arguments to its outputs.

    Attributes:
        layer: The layer.
        masks: The masks that travel on the arrays of the call, by their position.
        given: Whether the caller gave a `mask` himself, which reaches the method unchanged.
        carried: For each output, as Keras flattens them, the position of the array whose mask it
            carries on; None before the method ran.
        first: The positions of the arrays of the first argument.
    """

    layer: Any
    masks: Masks
    given: bool = False
    carried: list[int | None] | None = None
    first: list[int] = field(default_factory=list)

    def output_masks(self, previous_mask: Any) -> list[Any]:
        """Returns the mask of each output.

        Args:
            previous_mask: The masks of the first argument, which a subclass may have changed.
        """
        assert self.carried is not None
        flat, masks = keras.tree.flatten(previous_mask), dict(self.masks)
        changed = not self.given or not self.layer._calls_as_flax()
        if changed and len(flat) == len(self.first):
            masks |= dict(zip(self.first, flat, strict=True))
        return [None if place is None else masks.get(place) for place in self.carried]


_record: contextvars.ContextVar[MaskRecord | None] = contextvars.ContextVar(
    "flaxlayer_masks", default=None
)


@contextlib.contextmanager
def _recording(record: MaskRecord) -> Iterator[MaskRecord]:
    token = _record.set(record)
    try:
        yield record
    finally:
        _record.reset(token)


def masks_of(arrays: Sequence[Any]) -> dict[int, Any]:
    """Returns the masks that travel on arrays, by the position of the array."""
    pairs = ((index, compat.get_mask(array)) for index, array in enumerate(arrays))
    return {index: mask for index, mask in pairs if mask is not None}


class MaskingLayer(ModuleRunner):
    """A Keras layer that hands masks to its method, and on to its outputs."""

    _method_call: MethodSignature
    _recorded_mask = False

    def _announce_mask(self) -> None:
        if self._calls_as_flax():
            compat.announce_mask(self, takes=self._method_call.mask_arg is not None)

    def _mask_record(self) -> MaskRecord | None:
        record = _record.get()
        return record if record is not None and record.layer is self else None

    def _recording_masks(
        self, arrays: Sequence[Any], *, given: bool = False
    ) -> contextlib.AbstractContextManager[MaskRecord]:
        return _recording(MaskRecord(self, masks_of(arrays), given))

    def _given_mask(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the keyword arguments with a mask of the caller where the method takes it."""
        mask = kwargs.get("mask")
        others = {name: value for name, value in kwargs.items() if name != "mask"}
        if mask is None or self._travels(args, others, mask):
            return others
        call = self._method_call
        if call.accepts("mask"):
            return {**others, "mask": mask}
        if call.mask_arg is not None:
            return {**others, call.mask_arg: mask}
        if self._records_masks(mask):
            return others
        raise CallArgumentError(
            f"Layer {self.name!r} ({call.label}) got a mask, and takes none.",
            expected=f"{call.label}{call.signature}",
            found="an argument mask=...",
            fix="Leave it out; a mask that travels on the input goes on to the outputs by itself. "
            "Name the argument that takes a mask with mask_arg='name' if it has another name.",
            law="A4",
        )

    def _records_masks(self, mask: Any) -> bool:
        # Older files of functional models recorded the mask that travels as an argument.
        if isinstance(mask, keras.KerasTensor) and self._source()._revived:
            self._recorded_mask = True
        return self._recorded_mask

    def _travels(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], mask: Any) -> bool:
        # Keras's containers pass on what travels already.
        arrays, _ = partition(args, kwargs)
        given = [part for part in keras.tree.flatten(mask) if part is not None]
        travelling = list(masks_of(arrays).values())
        return all(any(part is other for other in travelling) for part in given)

    def _with_masks(
        self,
        arrays: Sequence[Any],
        structure: ArgumentStructure,
        masks: Masks,
        *,
        bring: Callable[[Any, MaskForm], Any] | None = None,
    ) -> tuple[list[Any], ArgumentStructure]:
        """Returns the arrays and the structure of a call with its masks in their places."""
        uses = self._mask_plan(arrays, structure, masks).uses if masks else ()
        if not uses:
            return list(arrays), structure
        args, kwargs = structure.merge(arrays)
        completed = add_masks(self._method_call, args, kwargs, uses, masks, bring or _in_form)
        return partition(args, completed)

    def _masked_structure(
        self, arrays: Sequence[Any], structure: ArgumentStructure, masks: Masks
    ) -> ArgumentStructure:
        # No mask is brought into its form for it.
        return self._with_masks(arrays, structure, masks, bring=lambda mask, _: mask)[1]

    def _mask_plan(
        self, arrays: Sequence[Any], structure: ArgumentStructure, masks: Masks
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
        plan = self._call_state.mask_plans.get(key)
        if plan is None:
            question = MaskQuestion(self._probe(structure), specs, ranks)
            source = self._source()
            if source.built:
                question = replace(question, known=source.discovery)
            plan = plan_masks(question)
            if source.built:
                self._call_state.mask_plans[key] = plan
        return plan

    # What the outputs carry on.

    def _carry(
        self,
        arrays: Sequence[Any],
        structure: ArgumentStructure,
        masks: Masks,
        leaves: Sequence[Any],
        outputs: Any,
    ) -> None:
        """Keeps in the record of the call what the leaves of its outputs carry on."""
        record = self._mask_record()
        if record is None:
            return
        flat = keras.tree.flatten(outputs)
        if not self._calls_as_flax():
            # What travels on the inputs of a subclass, handed to the method or not.
            masks = {i: mask for i, mask in record.masks.items() if i < len(arrays)}
        if not masks and not record.given:
            record.masks, record.carried = {}, [None] * len(flat)
            return
        record.first = self._first_places(structure)
        given = self._leading_mask(*structure.merge(arrays))
        record.masks, kept = given or (masks, self._mask_plan(arrays, structure, masks).kept)
        places = dict(zip(map(id, leaves), kept, strict=False))
        record.carried = [places.get(id(leaf)) for leaf in flat]

    def _first_places(self, structure: ArgumentStructure) -> list[int]:
        names = argument_names(self._method_call, structure)
        first = self._method_call.first_of(names) if names else ""
        return [index for index, name in enumerate(names) if name == first]

    def _leading_mask(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[Masks, Sequence[int | None]] | None:
        # One that the caller gave travels on where it is one of Keras's form.
        name = self._method_call.mask_arg
        given = kwargs.get(name) if name is not None else None
        if given is None or not hasattr(given, "shape"):
            return None
        others = {key: value for key, value in kwargs.items() if key != name}
        arrays, structure = partition(args, others)
        place = next(iter(self._first_places(structure)), None)
        if place is None or len(given.shape) > len(arrays[place].shape):
            return None
        plan = self._mask_plan(arrays, structure, {place: given})
        takes = any(use.argument == name and use.form is MaskForm.LEADING for use in plan.uses)
        return ({place: given}, plan.kept) if takes else None

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Returns the masks of the outputs: of those that keep the masked dimensions (A4).

        Args:
            inputs: The first argument of the method.
            previous_mask: Its mask, or masks in its structure.

        Returns:
            A mask, or a list with one for each array of the outputs; None for no mask.

        Example:

        ```python
        >>> import flax.linen as nn, jax.numpy as jnp
        >>> from flaxlayer import FlaxLayer
        >>> x, mask = jnp.ones((1, 3, 2)), jnp.array([[True, True, False]])
        >>> FlaxLayer(nn.Dense(4)).compute_mask(x, mask).tolist()
        [[True, True, False]]

        ```
        """
        record = self._mask_record()
        if record is not None and record.carried is not None:
            found = record.output_masks(previous_mask)
        elif not self._calls_as_flax():
            return previous_mask
        else:
            arrays, structure = partition((inputs,), {})
            flat = keras.tree.flatten(previous_mask)
            masks = {i: mask for i, mask in enumerate(flat) if mask is not None}
            kept = self._mask_plan(arrays, structure, masks).kept if masks else ()
            found = [None if place is None else masks[place] for place in kept]
        if all(mask is None for mask in found):
            return None
        return found[0] if len(found) == 1 else found

    def _calls_as_flax(self) -> bool:
        raise NotImplementedError


def _without_symbols(spec: ArraySpec) -> ArraySpec:
    # Keras traces the `call` of a subclass with symbolic sizes.
    dims = (dim if isinstance(dim, int) else None for dim in spec.shape)
    return ArraySpec(tuple(dims), spec.dtype)


def _in_form(mask: Any, form: MaskForm) -> Any:
    if isinstance(mask, keras.KerasTensor):
        return keras.KerasTensor(form.shape(mask.shape), "bool")
    if keras.backend.standardize_dtype(mask.dtype) != "bool":
        mask = keras.ops.cast(mask, "bool")
    return mask if form is MaskForm.LEADING else mask[..., None, None, :]
