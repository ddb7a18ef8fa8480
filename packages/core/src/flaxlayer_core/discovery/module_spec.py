"""What a module is to a layer: its variables, and how it is applied in each mode (C2, C3, R1)."""

from __future__ import annotations

from dataclasses import dataclass, field

from flax.core import DenyList

from flaxlayer_core.modules.protocol import FlaxModule
from flaxlayer_core.trees.variable_layout import VariableLayout
from flaxlayer_core.typing import PyTree, Variables

__all__ = ["ModePlan", "ModuleSpec"]


@dataclass(frozen=True)
class ModePlan:
    """How the module is applied in one mode.

    Attributes:
        training: The mode.
        streams: The rng streams that it draws from (R1).
        denied: Collections that it may not change (C3).
        output: The outputs, as a pytree of `ShapeDtypeStruct`.
        updates: The collections that it may change, as it returned them, abstract.
        optional_keys: Arguments that get random keys though the method can do without (R5); None
            for those whose stream is among these.
        applied: False where the module refused this mode; then all else is a placeholder.
    """

    training: bool
    streams: tuple[str, ...]
    denied: tuple[str, ...]
    output: PyTree
    updates: Variables
    optional_keys: tuple[str, ...] | None = None
    applied: bool = True

    @property
    def mutable(self) -> DenyList:
        """The `mutable` argument of `Module.apply`."""
        return DenyList(self.denied)


@dataclass(frozen=True)
class ModuleSpec:
    """Everything that a layer knows of its module after an abstract evaluation.

    Attributes:
        layout: The stored variables.
        variables: The same, as a tree of `ShapeDtypeStruct`.
        init_streams: The streams that init draws from.
        extra_init: Whether inference makes variables that init in training mode does not (B2).
        training: How the module is applied in training.
        inference: How it is applied at inference.
        traceable: False for a module that branches on values (A6).
        flax_module: The module, which runs on the state that its calls made.
        late: State that the module makes only when it is applied, which this discovery has no
            place for (C2): a tree of `ShapeDtypeStruct`.
        applied: False where the module could be initialised but not applied: then the plans are
            placeholders, and what a call needs is found at the call.
    """

    layout: VariableLayout
    variables: Variables
    init_streams: tuple[str, ...]
    extra_init: bool
    training: ModePlan
    inference: ModePlan
    flax_module: FlaxModule
    traceable: bool = True
    applied: bool = True
    late: Variables = field(default_factory=dict)

    def plan(self, training: bool) -> ModePlan:
        """Returns how the module is applied in a mode."""
        return self.training if training else self.inference
