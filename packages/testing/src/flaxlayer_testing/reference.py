"""The reference side of every check: the module through `init` and `apply`, nothing of a layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import errors as flax_errors

from flaxlayer_testing.raw import RawCall, Rngs, Variables, is_array

__all__ = ["Reference", "probe_loss"]

_REFUSED = (
    flax_errors.ModifyScopeVariableError,
    flax_errors.ScopeCollectionNotFound,
    flax_errors.ScopeVariableNotFoundError,
    flax_errors.ScopeParamNotFoundError,
)


def _structure_of(tree: Any) -> Any:
    """Returns the structure, shapes and dtypes of a tree, to compare."""
    leaves, treedef = jax.tree_util.tree_flatten(tree)
    return treedef, [(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves]


def probe_loss(outputs: Any) -> Any:
    """Returns a scalar that depends on every element of every floating output.

    Args:
        outputs: The outputs of a method.

    Returns:
        `float32[]`: the sum over outputs of the mean of `cos(i) * y_i`, so that no two elements
        weigh the same and gradients stay of the size of one.
    """
    total = jnp.zeros((), jnp.float32)
    for leaf in jax.tree_util.tree_leaves(outputs):
        if is_array(leaf) and jnp.issubdtype(leaf.dtype, jnp.inexact) and leaf.size:
            flat = jnp.real(leaf).reshape(-1).astype(jnp.float32)
            total += jnp.mean(flat * np.cos(np.arange(flat.size, dtype=np.float32)))
    return total


@dataclass(frozen=True, eq=False)
class Reference:
    """A raw call with what a check has to know of it.

    Attributes:
        raw: The module and its arguments.
    """

    raw: RawCall

    # Init.

    def init(self, rngs: Rngs) -> dict[str, Any]:
        """Returns the variables of `Module.init`, the training flag on (B2).

        Args:
            rngs: A key for each stream.

        Returns:
            Its variables, with those that only an init at inference makes.
        """
        variables = self.raw.init(rngs, training=True)
        if not self._inference_adds:
            return variables
        return _merge_missing(variables, self.raw.init(rngs, training=False))

    def _abstract_init(self, training: bool) -> dict[str, Any]:
        # A single key serves every stream: Flax falls back to `params`.
        init = partial(self.raw.init, training=training)
        result: dict[str, Any] = jax.eval_shape(init, {"params": jax.random.key(0)})
        return result

    @cached_property
    def _inference_adds(self) -> bool:
        merged = _merge_missing(self._abstract, self._abstract_init(False))
        return bool(_structure_of(merged) != _structure_of(self._abstract))

    @cached_property
    def _abstract(self) -> dict[str, Any]:
        return self._abstract_init(True)

    # Roles.

    @cached_property
    def stored(self) -> dict[str, Any]:
        """What a layer has to store: the abstract variables without transient collections (C2)."""
        variables = self._abstract
        if self._inference_adds:
            variables = _merge_missing(variables, self._abstract_init(False))
        moved: set[str] = set()
        for training in (True, False):
            moved |= self._moving(variables, training)
        return {name: tree for name, tree in variables.items() if name not in moved}

    def _moving(self, variables: Variables, training: bool) -> set[str]:
        once = self._abstract_updates(variables, training)
        if all(_structure_of(variables.get(name)) == _structure_of(once[name]) for name in once):
            return set()
        twice = self._abstract_updates({**variables, **once}, training)
        return {n for n in twice if _structure_of(once.get(n)) != _structure_of(twice[n])}

    def _abstract_updates(
        self, variables: Variables, training: bool, denied: frozenset[str] = frozenset()
    ) -> dict[str, Any]:
        run = partial(self.raw.apply, training=training, denied=denied | {"params"})
        rngs = {"params": jax.random.key(0)}
        _, updates = jax.eval_shape(
            lambda v, r, a: _arrays_only(run(v, r, a)), dict(variables), rngs, self.raw.arrays
        )
        return dict(updates)

    @property
    def state_collections(self) -> frozenset[str]:
        """Names of the collections of state (C2)."""
        return frozenset(self.stored) - {"params"}

    @cached_property
    def denied(self) -> frozenset[str]:
        """State that the module leaves alone at inference if it may not change it (C3)."""
        state = self.state_collections
        if self._bears(state):
            return state
        return frozenset(name for name in state if self._bears(frozenset({name})))

    def _bears(self, denied: frozenset[str]) -> bool:
        try:
            self._abstract_updates(self.stored, False, denied)
        except _REFUSED:
            return False
        return True

    def needs_rng(self, *, training: bool) -> bool:
        """Tells whether the module cannot run in a mode without a key (R1)."""
        run = partial(self.raw.apply, training=training, denied=frozenset({"params"}))
        try:
            jax.eval_shape(lambda v, a: _arrays_only(run(v, {}, a)), self.stored, self.raw.arrays)
        except flax_errors.InvalidRngError:
            return True
        return False

    # What the module refuses.

    @property
    def widened_inputs(self) -> tuple[Any, ...]:
        """The inputs, arrays of them twice as wide in their last dimension but the batch."""
        return tuple(
            np.concatenate([leaf, leaf], axis=-1) if is_array(leaf) and np.ndim(leaf) > 1 else leaf
            for leaf in self.raw.inputs
        )

    @cached_property
    def refuses_shapes(self) -> bool:
        """Whether raw Flax fails on `widened_inputs`."""
        return not self._accepts(self.widened_inputs)

    @cached_property
    def takes_any_batch(self) -> bool:
        """Whether the module takes a batch of another size than it was built with."""
        doubled = (np.concatenate([leaf, leaf]) for leaf in self.raw.inputs)
        return self._accepts(tuple(doubled))

    def _accepts(self, inputs: tuple[Any, ...]) -> bool:
        other = Reference(replace(self.raw, inputs=inputs))
        try:
            for training in (True, False):
                other._abstract_updates(self.stored, training)
        except Exception:  # any module may refuse them in any way
            return False
        return True

    # Apply.

    def function(self, *, training: bool) -> Callable[..., tuple[Any, dict[str, Any]]]:
        """Returns raw apply with the mutable filter of a mode (C3).

        Args:
            training: The mode.

        Returns:
            A pure function `(variables, rngs, arrays) -> (outputs, updates)`.
        """
        denied = frozenset({"params"}) | (frozenset() if training else self.denied)
        return partial(self.raw.apply, training=training, denied=denied)

    @cached_property
    def _compiled(self) -> dict[bool, Any]:
        return {mode: jax.jit(self.function(training=mode)) for mode in (True, False)}

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

    def next_variables(self, variables: Variables, updates: Variables) -> dict[str, Any]:
        """Returns the variables after a call: state is fed back, transient values are not (C2)."""
        kept = {name: tree for name, tree in updates.items() if name in self.stored}
        return {**variables, **kept}

    def transient(self, updates: Variables) -> dict[str, Any]:
        """Returns the sown part of the updates (C7)."""
        return {name: tree for name, tree in updates.items() if name not in self.stored and tree}

    # Losses.

    def loss(self, variables: Variables, rngs: Rngs, arrays: list[Any]) -> tuple[Any, Any]:
        """Returns the probe loss of a training call with the sown losses, and all updates (C7)."""
        outputs, updates = self.function(training=True)(variables, rngs, arrays)
        return probe_loss(outputs) + self.sown_loss(updates), updates

    def sown_loss(self, updates: Variables) -> Any:
        """Returns the sum of all leaves of the collection `losses`."""
        leaves = jax.tree_util.tree_leaves(self.transient(updates).get("losses", ()))
        return sum((jnp.sum(leaf) for leaf in leaves), jnp.zeros((), jnp.float32))


def _arrays_only(result: tuple[Any, Any]) -> tuple[Any, Any]:
    outputs, updates = result
    leaves = jax.tree_util.tree_leaves(outputs)
    return [leaf for leaf in leaves if is_array(leaf)], updates


def _merge_missing(variables: Variables, extra: Variables) -> dict[str, Any]:
    merged = dict(variables)
    for name, value in extra.items():
        if name not in merged:
            merged[name] = value
        elif isinstance(value, Mapping) and isinstance(merged[name], Mapping):
            merged[name] = _merge_missing(merged[name], value)
    return merged
