"""One call of a raw Flax module: its arguments, `init` and `apply`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from flaxlayer_testing.flags import mode_arguments

__all__ = ["RawCall", "Rngs", "Variables", "is_array"]

Variables = Mapping[str, Any]
Rngs = Mapping[str, Any]


def is_array(leaf: Any) -> bool:
    """Tells whether a leaf of the arguments is an array, not a static value."""
    return isinstance(leaf, jax.Array | np.ndarray | np.generic)


@dataclass(frozen=True, eq=False)
class RawCall:
    """A module with the arguments of one call, run by raw Flax.

    Attributes:
        module: An unbound linen module.
        inputs: Positional arguments: arrays, pytrees, static values.
        arguments: Keyword arguments but the training flag.
        training_arg: The training argument where its name is not customary.
    """

    module: Any
    inputs: tuple[Any, ...]
    arguments: Mapping[str, Any]
    training_arg: str | None = None

    @cached_property
    def _split(self) -> tuple[list[Any], Callable[[list[Any]], Any]]:
        leaves, treedef = jax.tree_util.tree_flatten((self.inputs, dict(self.arguments)))
        with jax.ensure_compile_time_eval():  # the first to ask may be a trace
            arrays = [jnp.asarray(leaf) for leaf in leaves if is_array(leaf)]

        def merge(values: list[Any]) -> Any:
            following = iter(values)
            merged = [next(following) if is_array(leaf) else leaf for leaf in leaves]
            return jax.tree_util.tree_unflatten(treedef, merged)

        return arrays, merge

    @property
    def arrays(self) -> list[Any]:
        """The arrays of the arguments, in the order of the tree."""
        return self._split[0]

    def merge(self, arrays: list[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns positional and keyword arguments with these arrays in their places."""
        args, kwargs = self._split[1](arrays)
        return args, kwargs

    def complete(self, arrays: list[Any], training: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns positional and keyword arguments with these arrays and the training flag."""
        args, kwargs = self.merge(arrays)
        flags = mode_arguments(self.module, kwargs, self.training_arg, training=training)
        return args, {**kwargs, **flags}

    @property
    def takes_any_keyword(self) -> bool:
        """Whether the method takes keywords that it does not name."""
        parameters = inspect.signature(type(self.module).__call__).parameters.values()
        return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)

    def init(self, rngs: Rngs, *, training: bool) -> dict[str, Any]:
        """Returns the variables of `Module.init` in a mode.

        Args:
            rngs: A key for each stream.
            training: The mode.

        Returns:
            Collections of arrays.
        """
        args, kwargs = self.complete(self.arrays, training)
        variables: Mapping[str, Any] = self.module.init(dict(rngs), *args, **kwargs)
        return dict(variables)

    def apply(
        self,
        variables: Variables,
        rngs: Rngs,
        arrays: list[Any],
        *,
        training: bool,
        denied: frozenset[str],
    ) -> tuple[Any, dict[str, Any]]:
        """Returns the result of `Module.apply`.

        Args:
            variables: Params and state.
            rngs: A key for each stream.
            arrays: The arrays of the arguments.
            training: The mode.
            denied: Collections that the module may not change.

        Returns:
            The outputs and every collection that the module may change.
        """
        args, kwargs = self.complete(arrays, training)
        outputs, updates = self.module.apply(
            dict(variables),
            *args,
            rngs=dict(rngs),
            mutable=nn.DenyList(tuple(sorted(denied))),
            **kwargs,
        )
        return outputs, dict(updates)
