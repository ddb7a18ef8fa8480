"""The reference side of every check: the module through `init` and `apply`, nothing of a layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import errors as flax_errors

from flaxlayer_testing.flags import mode_arguments

__all__ = ["Reference", "Rngs", "Variables", "is_array", "probe_loss", "structure_of"]

Variables = Mapping[str, Any]
Rngs = Mapping[str, Any]
_REFUSED = (
    flax_errors.ModifyScopeVariableError,
    flax_errors.ScopeCollectionNotFound,
    flax_errors.ScopeVariableNotFoundError,
    flax_errors.ScopeParamNotFoundError,
)


def is_array(leaf: Any) -> bool:
    """Tells whether a leaf of the arguments is an array, not a static value."""
    return isinstance(leaf, jax.Array | np.ndarray | np.generic)


def structure_of(tree: Any) -> Any:
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

    # Arguments.

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

    def _call(self, arrays: list[Any], training: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args, kwargs = self._split[1](arrays)
        flags = mode_arguments(self.module, kwargs, self.training_arg, training=training)
        return args, {**kwargs, **flags}

    # Init.

    def init(self, rngs: Rngs) -> dict[str, Any]:
        """Returns the variables of `Module.init`, the training flag on (B2).

        Args:
            rngs: A key for each stream.

        Returns:
            Its variables, with those that only an init at inference makes.
        """
        variables = self._init(rngs, True)
        if not self._inference_adds:
            return variables
        return _merge_missing(variables, self._init(rngs, False))

    def _init(self, rngs: Rngs, training: bool) -> dict[str, Any]:
        args, kwargs = self._call(self.arrays, training)
        variables: Mapping[str, Any] = self.module.init(dict(rngs), *args, **kwargs)
        return dict(variables)

    def _abstract_init(self, training: bool) -> dict[str, Any]:
        # A single key serves every stream: Flax falls back to `params`.
        init = partial(self._init, training=training)
        result: dict[str, Any] = jax.eval_shape(init, {"params": jax.random.key(0)})
        return result

    @cached_property
    def _inference_adds(self) -> bool:
        training, inference = self._abstract_init(True), self._abstract_init(False)
        merged = _merge_missing(training, inference)
        return bool(structure_of(merged) != structure_of(training))

    # Roles.

    @cached_property
    def stored(self) -> dict[str, Any]:
        """What a layer has to store: the abstract variables without transient collections (C2)."""
        variables = self._abstract_init(True)
        if self._inference_adds:
            variables = _merge_missing(variables, self._abstract_init(False))
        moved: set[str] = set()
        for training in (True, False):
            moved |= self._moving(variables, training)
        return {name: tree for name, tree in variables.items() if name not in moved}

    def _moving(self, variables: Variables, training: bool) -> set[str]:
        once = self._abstract_updates(variables, training)
        if all(structure_of(variables.get(name)) == structure_of(once[name]) for name in once):
            return set()
        twice = self._abstract_updates({**variables, **once}, training)
        return {n for n in twice if structure_of(once.get(n)) != structure_of(twice[n])}

    def _abstract_updates(
        self, variables: Variables, training: bool, denied: frozenset[str] = frozenset()
    ) -> dict[str, Any]:
        run = partial(self._apply, training=training, denied=denied | {"params"})
        rngs = {"params": jax.random.key(0)}
        _, updates = jax.eval_shape(
            lambda v, r, a: _arrays_only(run(v, r, a)), dict(variables), rngs, self.arrays
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
        run = partial(self._apply, training=training, denied=frozenset({"params"}))
        try:
            jax.eval_shape(lambda v, a: _arrays_only(run(v, {}, a)), self.stored, self.arrays)
        except flax_errors.InvalidRngError:
            return True
        return False

    # Apply.

    def _apply(
        self,
        variables: Variables,
        rngs: Rngs,
        arrays: list[Any],
        *,
        training: bool,
        denied: frozenset[str],
    ) -> tuple[Any, dict[str, Any]]:
        args, kwargs = self._call(arrays, training)
        outputs, updates = self.module.apply(
            dict(variables),
            *args,
            rngs=dict(rngs),
            mutable=nn.DenyList(tuple(sorted(denied))),
            **kwargs,
        )
        return outputs, dict(updates)

    def function(self, *, training: bool) -> Callable[..., tuple[Any, dict[str, Any]]]:
        """Returns raw apply with the mutable filter of a mode (C3).

        Args:
            training: The mode.

        Returns:
            A pure function `(variables, rngs, arrays) -> (outputs, updates)`.
        """
        denied = frozenset({"params"}) | (frozenset() if training else self.denied)
        return partial(self._apply, training=training, denied=denied)

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
            dict(variables), dict(rngs), self.arrays
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
