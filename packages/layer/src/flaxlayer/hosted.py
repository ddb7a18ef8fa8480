"""What a layer and its methods share: a module, its settings, and what was made of them (A3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import keras

from flaxlayer.handed_names import remember_arguments
from flaxlayer.locks import LayerLocks
from flaxlayer.memory import size_bound
from flaxlayer.settings import Settings
from flaxlayer.typing import Array, Write
from flaxlayer.weights.freezing import FrozenPaths
from flaxlayer.weights.variables import FlaxWeights
from flaxlayer_core import (
    ArgumentStructure,
    BuildSpec,
    FlaxModule,
    MethodSignature,
    ModuleCall,
    ModuleSpec,
    ReadUnbuiltError,
)

__all__ = ["HostedModule"]


@dataclass(eq=False)
class HostedModule:
    """A module in a `FlaxLayer`, which the layers of its methods use too.

    Attributes:
        layer: The `FlaxLayer` itself: its name, its dtype policy, and whether it may change.
        flax_module: The module behind core's protocol.
        settings: What the user chose.
        method: How the method of the layer is called.
        init_method: How the method is called that initialises.
        seed: The seed of init and calls.
        seed_generator: Where the seed of each call comes from (R2).
        has_own_dtype: Whether `dtype=` was given (A7).
        from_file: Whether a stored configuration made it, so that its sizes have bounds (S3).
        sharing_token: What stands in configurations for its weights, None if no other layer has
            them.
        frozen: What is frozen by path (C5).
        weights: Its variables, None before it is built.
        build_spec: What the build found, None before.
        losses: Loss collections that the module really fills (C7).
        locks: Held while it is built or changed (A8).
    """

    layer: keras.layers.Layer
    flax_module: FlaxModule
    settings: Settings
    method: MethodSignature
    init_method: MethodSignature
    seed: int
    seed_generator: keras.random.SeedGenerator
    has_own_dtype: bool = False
    from_file: bool = False
    sharing_token: str | None = None
    frozen: FrozenPaths = field(default_factory=FrozenPaths)
    weights: FlaxWeights | None = None
    build_spec: BuildSpec | None = None
    losses: tuple[str, ...] = ()
    locks: LayerLocks = field(default_factory=LayerLocks)

    @property
    def title(self) -> str:
        """The layer as messages name it."""
        return f"Layer {self.layer.name!r}"

    @property
    def spec(self) -> ModuleSpec:
        """What abstract evaluation found at build.

        Raises:
            ReadUnbuiltError: If the layer is not built.
        """
        self.require_built("discovery")
        assert self.build_spec is not None
        return self.build_spec.spec

    @property
    def built_weights(self) -> FlaxWeights:
        """The variables.

        Raises:
            ReadUnbuiltError: If the layer is not built.
        """
        self.require_built("weights")
        assert self.weights is not None
        return self.weights

    @property
    def compute_dtype(self) -> str | None:
        """What floating inputs and params are cast to at a call, None for no cast (A7)."""
        # Under the plain default policy nothing is cast.
        layer = self.layer
        if self.has_own_dtype or layer.dtype_policy.name != keras.config.floatx():
            return str(layer.compute_dtype)
        return None

    def require_built(self, what: str) -> None:
        """Raises a `ReadUnbuiltError` if there are no variables yet.

        Args:
            what: What was asked for.
        """
        if self.weights is None:
            raise ReadUnbuiltError(
                f"{self.title} ({self.method.title}) is not built: no {what} yet.",
                expected="a layer that was called or built",
                found="a layer without weights",
                fix="Call it on data, or layer.build(input_shape).",
                law="B1",
            )

    def module_call(self, structure: ArgumentStructure) -> ModuleCall:
        """Returns the call of the layer's own method with arguments of a structure."""
        remember_arguments(structure)
        settings = self.settings
        call = ModuleCall(
            self.flax_module,
            self.method,
            self.init_method,
            structure,
            policy=settings.policy,
            rngs=settings.rngs,
            given=settings.given_form if settings.variables is None else settings.variables,
            layer=self.title,
        )
        return replace(call, bound=size_bound(call.title)) if self.from_file else call

    def writable(self, changed: Mapping[int, Array], training: bool) -> list[Write]:
        """Returns which changed state is written back, and where (C3, C5).

        Args:
            changed: New state by position in the layout.
            training: The mode of the call.
        """
        when = self.settings.state_updates
        if not self.layer.trainable or when == "never" or (when == "training" and not training):
            return []
        weights, frozen = self.built_weights, self.frozen.paths
        return [
            (weights.variables[index], value)
            for index, value in changed.items()
            if not frozen or weights.layout.specs[index].path not in frozen
        ]
