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
        applied: False where the module was not applied in this mode, or refused it; then all else
            is a placeholder.
    """

    training: bool
    streams: tuple[str, ...]
    denied: tuple[str, ...]
    output: PyTree
    updates: Variables
    optional_keys: tuple[str, ...] | None = None
    applied: bool = True

    @classmethod
    def unapplied(cls, *, training: bool) -> ModePlan:
        """Returns the plan of a mode in which the module was not applied."""
        return cls(training, (), (), None, {}, applied=False)

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
        init_modes: The training flags of the inits that initial values come from: what one made is
            not made by those after it (B2).
        training: How the module is applied in training.
        inference: How it is applied at inference.
        traceable: False for a module that branches on values (A6).
        flax_module: The module, which runs on the state that its calls made.
        late: State that the module makes only when it is applied, which this discovery has no
            place for (C2): a tree of `ShapeDtypeStruct`.
    """

    layout: VariableLayout
    variables: Variables
    init_streams: tuple[str, ...]
    init_modes: tuple[bool, ...]
    training: ModePlan
    inference: ModePlan
    flax_module: FlaxModule
    traceable: bool = True
    late: Variables = field(default_factory=dict)

    def plan(self, training: bool) -> ModePlan:
        """Returns how the module is applied in a mode."""
        return self.training if training else self.inference

    @property
    def applied(self) -> bool:
        """Whether any mode was applied; else what a call needs is found at the call."""
        return self.training.applied or self.inference.applied
