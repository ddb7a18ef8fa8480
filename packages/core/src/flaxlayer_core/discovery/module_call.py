"""What discovery asks and what it answers: a module with its call, and how to run it (C3, R1)."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

import jax
import numpy as np

from flaxlayer_core.jaxprs.traced import TracedFunction
from flaxlayer_core.modules.axis_names import bind_axes
from flaxlayer_core.modules.key_arguments import KeyArgument, make_keys
from flaxlayer_core.modules.protocol import FlaxModule
from flaxlayer_core.modules.signatures import MethodSignature
from flaxlayer_core.size_bounds import SizeBound
from flaxlayer_core.trees.arguments import ArgumentStructure
from flaxlayer_core.trees.matching import as_arrays
from flaxlayer_core.trees.outputs import wrap_statics
from flaxlayer_core.trees.roles import CollectionPolicy
from flaxlayer_core.typing import Args, Array, Mutable, PyTree, Rngs, Shaped, Variables

__all__ = ["InitTrace", "ModuleCall", "abstract_keys", "trace_init"]

InitTrace: TypeAlias = TracedFunction
"""A traced init, a function of the keys by stream and of the arrays: values come from it (B2)."""


@dataclass(frozen=True, eq=False)
class ModuleCall:
    """A call of a module: its method, the static side of the arguments, and what is known before.

    Attributes:
        flax_module: The module behind core's protocol.
        method: The method of the layer.
        init_method: The method that initialises.
        structure: The static side of the arguments.
        policy: Roles by name.
        rngs: Streams that the user listed; None to find them (R1).
        given: Variables that the user gave, whose shapes and dtypes stand (B4); where only their
            form is known, abstract.
        layer: The layer as messages name it.
        bound: What sizes are held against before anything is made or compiled, where the module
            comes from a file; None for a module of the user's (S3).
    """

    flax_module: FlaxModule
    method: MethodSignature
    init_method: MethodSignature
    structure: ArgumentStructure
    policy: CollectionPolicy = field(default_factory=CollectionPolicy)
    rngs: tuple[str, ...] | None = None
    given: Variables | None = None
    layer: str = "The layer"
    bound: SizeBound | None = None

    @property
    def title(self) -> str:
        """The layer and its module, for messages."""
        return f"{self.layer} (module {self.flax_module.facts.class_name})"

    def merging_repeats(
        self, inputs: Sequence[Array] | None = None, *, depends: bool = False
    ) -> contextlib.AbstractContextManager[object]:
        """Opens a context for an abstract evaluation, which asks for forms alone (B6).

        Args:
            inputs: The arrays of an init, None where the module is applied.
            depends: Whether it is asked, too, which results depend on which arguments.
        """
        return self.flax_module.facts.merging_repeats(inputs, depends=depends)

    def given_tree(self) -> dict[str, PyTree]:
        """Returns the given variables as the module stores them, arrays all of them (B4)."""
        return as_arrays(self.flax_module.stored_variables(self.given or {}), title=self.title)

    @functools.cached_property
    def keys(self) -> tuple[KeyArgument, ...]:
        """The arguments that get random keys from the layer: none that the caller gives (R5)."""
        named: Iterable[str] = ()
        if self.method.keys:
            named = self.method.named_arguments(*self.structure.skeleton())
        return tuple(argument for argument in self.method.keys if argument.name not in named)

    def arguments(
        self,
        method: MethodSignature,
        arrays: Sequence[Shaped],
        training: bool,
        keys: Rngs = MappingProxyType({}),
    ) -> tuple[Args, dict[str, PyTree]]:
        """Returns the arguments that a method gets for these arrays."""
        args, kwargs = self.structure.combine(arrays)
        if method is not self.method:
            kwargs = {name: kwargs[name] for name in kwargs if not self._is_mask(name, method)}
        return method.bind(args, kwargs, training=training, keys=keys)

    def _is_mask(self, name: str, method: MethodSignature) -> bool:
        # One that only the other method takes.
        masks = name in ("mask", self.method.mask_arg) or name.endswith("_mask")
        return masks and name not in method.signature.parameters

    def init(
        self, rngs: Mapping[str, jax.Array], arrays: Sequence[Shaped], *, training: bool
    ) -> dict[str, PyTree]:
        """Initialises the module."""
        keys = make_keys(self.init_method.keys, rngs)
        args, kwargs = self.arguments(self.init_method, arrays, training, keys)
        return bind_axes(
            lambda: self.flax_module.init(
                rngs,
                args,
                kwargs,
                method=self.init_method.method,
                modes=self.init_method.modes(training),
            )
        )

    def apply(
        self,
        variables: Variables,
        rngs: Mapping[str, jax.Array],
        arrays: Sequence[Shaped],
        *,
        training: bool,
        mutable: Mutable,
        optional_keys: Collection[str] | None = None,
    ) -> tuple[PyTree, dict[str, PyTree]]:
        """Applies the module; its outputs are as `wrap_statics` gives them."""
        keys = make_keys(self.keys, rngs, optional=optional_keys)
        args, kwargs = self.arguments(self.method, arrays, training, keys)

        def run() -> tuple[PyTree, dict[str, PyTree]]:
            outputs, updates = self.flax_module.apply(
                variables,
                args,
                kwargs,
                method=self.method.method,
                rngs=rngs,
                mutable=mutable,
                modes=self.method.modes(training),
            )
            return wrap_statics(outputs), updates

        return bind_axes(run)


def trace_init(
    call: ModuleCall, streams: Sequence[str], arrays: Sequence[Shaped], *, training: bool
) -> InitTrace:
    """Traces an init of the module.

    Args:
        call: The module and its call.
        streams: The streams that init draws from.
        arrays: Abstract arrays.
        training: The mode.

    Returns:
        The traced function of the keys by stream and of the arrays.
    """

    def init(rngs: PyTree, arrays: Sequence[Array]) -> PyTree:
        with call.merging_repeats(arrays):
            return call.init(rngs, arrays, training=training)

    return TracedFunction(init, abstract_keys(streams), list(arrays), bound=call.bound)


def abstract_keys(streams: Iterable[str]) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns a key of JAX's current default kind for each stream, abstract."""
    # Of an abstract seed: from a number JAX would make a key where it evaluates at trace time. By a
    # new function each time: what JAX keeps of an old one forgets the implementation.
    seed = jax.ShapeDtypeStruct((), np.uint32)
    key: jax.ShapeDtypeStruct = jax.eval_shape(lambda seed: jax.random.key(seed), seed)
    return dict.fromkeys(streams, key)
