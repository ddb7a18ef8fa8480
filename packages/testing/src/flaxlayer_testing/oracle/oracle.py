"""The expected side of every check: the module through `init` and `apply`, nothing of a layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp

from flaxlayer_testing.oracle.call import RawCall, Rngs, Variables
from flaxlayer_testing.oracle.dependence import operations
from flaxlayer_testing.oracle.probe import probe_loss
from flaxlayer_testing.oracle.roles import Roles
from flaxlayer_testing.oracle.statics import compile_with_statics
from flaxlayer_testing.oracle.variable_trees import arrays_only, merge_missing

__all__ = ["Oracle"]


def with_given(raw: RawCall, given: Variables, *, complete: bool) -> RawCall:
    """Returns a raw call whose init gives these variables, and initialises those that it lacks.

    Args:
        raw: A call.
        given: Collections of variables.
        complete: Whether nothing is initialised.

    Returns:
        The same call with another `init`.
    """

    def init(rngs: Rngs, *, training: bool) -> dict[str, Any]:
        return dict(given) if complete else merge_missing(given, raw.init(rngs, training=training))

    other = replace(raw)
    object.__setattr__(other, "init", init)
    return other


def _is_function(kind: type, name: str) -> bool:
    return inspect.isfunction(inspect.getattr_static(kind, name))


@dataclass(frozen=True, eq=False)
class Oracle(Roles):
    """A raw call that is run, with what raw Flax says about it."""

    def init(self, rngs: Rngs, *, unseen: bool = False) -> dict[str, Any]:
        """Returns the variables of `Module.init`, the training flag on (B2).

        Args:
            rngs: A key for each stream.
            unseen: Whether ones stand in the place of the inputs, as in a build from shapes.

        Returns:
            Its variables, with those that only an init at inference makes.
        """
        raw = self.raw.with_ones() if unseen else self.raw
        variables = raw.init(rngs, training=True)
        if not self.inference_adds:
            return variables
        return merge_missing(variables, raw.init(rngs, training=False))

    # Apply.

    @cached_property
    def computed_dtypes(self) -> frozenset[str]:
        """Names of the dtypes of what a call computes on the way to its results, in any mode.

        Of a module that cannot be traced, those of its arrays are known.
        """
        leaves = jax.tree_util.tree_leaves((self.stored, self.raw.arrays))
        if self.traceable:
            leaves += [*self._computed(training=True), *self._computed(training=False)]
        return frozenset(str(leaf.dtype) for leaf in leaves if hasattr(leaf, "dtype"))

    def _computed(self, *, training: bool) -> list[Any]:
        function, rngs = self.function(training=training), {"params": jax.random.key(0)}
        traced = jax.make_jaxpr(lambda v, a: arrays_only(function(v, rngs, a)))(
            self.stored, self.raw.arrays
        )
        return [value.aval for part in operations(traced.jaxpr) for value in part.outvars]

    def function(self, *, training: bool) -> Callable[..., tuple[Any, dict[str, Any]]]:
        """Returns raw apply with the mutable filter of a mode (C3).

        Args:
            training: The mode.

        Returns:
            A pure function `(variables, rngs, arrays) -> (outputs, updates)`.
        """
        return partial(self.raw.apply, training=training, denied=self.denied_in(training=training))

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns `jax.jit(function)`; the function itself for a module that cannot be traced (A6).

        Args:
            function: A function of arrays, whose results may hold leaves that are none.

        Returns:
            A function with the same results.
        """
        if not self.traceable:
            return function
        return compile_with_statics(function)

    @cached_property
    def _compiled(self) -> dict[bool, Any]:
        return {mode: self.compile(self.function(training=mode)) for mode in (True, False)}

    def apply(
        self, variables: Variables, rngs: Rngs, *, training: bool
    ) -> tuple[Any, dict[str, Any]]:
        """Runs `jax.jit(module.apply)`.

        Args:
            variables: Params and state.
            rngs: A key for each stream.
            training: The mode.

        Returns:
            The outputs and every collection that the module may change.
        """
        result: tuple[Any, dict[str, Any]] = self._compiled[training](
            dict(variables), dict(rngs), self.raw.arrays
        )
        return result

    def with_call(self, raw: RawCall) -> Oracle:
        """Returns another call of the module on the same stored variables.

        Args:
            raw: The other call.

        Returns:
            An oracle; this one if the call is the same, so that what it compiled is shared.
        """
        if raw is self.raw:
            return self
        other = replace(self, raw=raw)
        other.__dict__["_found"] = self._found
        return other

    def with_transient(self, names: Sequence[str]) -> Oracle:
        """Returns the same with more collections that belong to one call by their name (C7).

        Args:
            names: Collections that are summed as losses, or returned.
        """
        if not set(names) & set(self.stored):
            return self
        return Oracle(self.raw, tuple(dict.fromkeys((*self.transient_names, *names))))

    def with_given(self, given: Variables) -> Oracle:
        """Returns the same call where variables are given (B4).

        Where it can be applied to what was given, nothing is initialised; else what is missing is.

        Args:
            given: Collections of variables, some or all of them, or more.

        Returns:
            An oracle whose `init` gives them.
        """
        return Oracle(
            with_given(self.raw, given, complete=self.lacks_nothing(given)), self.transient_names
        )

    @cached_property
    def other_methods(self) -> tuple[str, ...]:
        """Public methods of the module's class that take the same arguments as the call."""
        kind = type(self.raw.target)
        fields = getattr(kind, "__dataclass_fields__", {})
        names = sorted(set(dir(kind)) - set(dir(self.raw.base)) - set(fields) - self.raw.settings)
        public = (n for n in names if n[0] != "_" and _is_function(kind, n))
        calls = (replace(self.raw, method=name) for name in public)
        # A helper that returns a submodule runs, too, and is no method to call.
        taken = (call for call in calls if self.accepts(call))
        return tuple(call.method for call in taken if self.with_call(call).gives_arrays)

    # Variables over steps.

    def next_variables(self, variables: Variables, updates: Variables) -> dict[str, Any]:
        """Returns the variables after a call: state is fed back, transient values are not (C2)."""
        kept = {name: tree for name, tree in updates.items() if name in self.eventual}
        return {**variables, **kept}

    def transient(self, updates: Variables) -> dict[str, Any]:
        """Returns the sown part of the updates (C7)."""
        return {name: tree for name, tree in updates.items() if name not in self.eventual and tree}

    # Losses.

    def loss(self, variables: Variables, rngs: Rngs, arrays: list[Any]) -> tuple[Any, Any]:
        """Returns the probe loss of a training call with the sown losses, and all updates (C7)."""
        outputs, updates = self.function(training=True)(variables, rngs, arrays)
        return probe_loss(outputs) + self.sown_loss(updates), updates

    @cached_property
    def differentiable(self) -> bool:
        """Whether raw Flax has a gradient of the loss by what is trained and floating inputs.

        Some operations of JAX have none, such as a loop that ends on a condition.
        """
        try:
            jax.eval_shape(self._gradients, self.stored, self.raw.arrays)
        except (NotImplementedError, ValueError):  # what JAX raises of such an operation
            return False
        return True

    def _gradients(self, variables: Variables, arrays: list[Any]) -> list[Any]:
        trained = {name: tree for name, tree in variables.items() if name in self.raw.trainable}
        leaves, treedef = jax.tree_util.tree_flatten((trained, arrays))
        free = [i for i, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.inexact)]

        def loss(values: list[Any]) -> Any:
            whole = list(leaves)
            for place, value in zip(free, values, strict=True):
                whole[place] = value
            params, inputs = jax.tree_util.tree_unflatten(treedef, whole)
            return self.loss({**variables, **params}, {"params": jax.random.key(0)}, inputs)[0]

        gradients: list[Any] = jax.grad(loss)([leaves[place] for place in free])
        return gradients

    def sown_loss(self, updates: Variables) -> Any:
        """Returns the sum of all leaves of the collection `losses`."""
        leaves = jax.tree_util.tree_leaves(self.transient(updates).get("losses", ()))
        return sum((jnp.sum(leaf) for leaf in leaves), jnp.zeros((), jnp.float32))
