"""A module tried on abstract arrays, or on real ones where it cannot be traced (B1, A6)."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import jax
from flax.core import DenyList

from flaxlayer_core.discovery.module_call import ModuleCall, abstract_keys
from flaxlayer_core.jaxprs.traced import made_arrays
from flaxlayer_core.typing import Array, Function, PyTree, Variables

__all__ = ["Trial"]


@dataclass(frozen=True)
class Trial:
    """A module and the arrays that it is tried on.

    Attributes:
        call: The module and its call.
        arrays: Abstract arrays; concrete ones if `abstract` is False.
        abstract: Whether to evaluate by `jax.eval_shape`, or op by op.
    """

    call: ModuleCall
    arrays: tuple[Array, ...]
    abstract: bool

    def evaluate(self, function: Function, *args: object) -> PyTree:
        """Returns the result of a function, abstract or not."""
        if not self.abstract:
            # A variable may be a Python number, which has no dtype.
            return jax.tree_util.tree_map(jax.numpy.asarray, function(*args))
        bound = self.call.bound
        if bound is None:
            return jax.eval_shape(function, *args)
        traced, result = jax.make_jaxpr(function, return_shape=True)(*args)
        bound.check_program(made_arrays(traced.jaxpr))
        return result

    def keys(self, streams: Sequence[str]) -> dict[str, PyTree]:
        """Returns a key for each stream, abstract or not."""
        if self.abstract:
            return abstract_keys(streams)
        return dict.fromkeys(streams, jax.random.key(0))

    def apply(
        self,
        variables: Variables,
        streams: Sequence[str],
        training: bool,
        denied: Collection[str],
        optional_keys: Collection[str] | None,
    ) -> tuple[PyTree, dict[str, PyTree]]:
        """Applies the module; collections that are denied may not change (C3)."""

        def apply(variables: PyTree, rngs: PyTree, arrays: Sequence[Array]) -> PyTree:
            return self.call.apply(
                variables,
                rngs,
                arrays,
                training=training,
                mutable=DenyList(tuple(denied)),
                optional_keys=optional_keys,
            )

        with self.call.merging_repeats() if self.abstract else contextlib.nullcontext():
            result: tuple[PyTree, dict[str, PyTree]] = self.evaluate(
                apply, dict(variables), self.keys(streams), self.arrays
            )
        return result
