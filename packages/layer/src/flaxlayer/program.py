"""A call of a module as a pure function, which knows no backend (§5)."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flaxlayer.typing import Array, PyTree, Variables
from flaxlayer_core import (
    ModePlan,
    ModuleCall,
    Role,
    StateStructureError,
    VariableLayout,
    VariableSpec,
    flatten_with_paths,
    format_path,
    next_seed,
    split_collections,
    stream_rngs,
)

__all__ = ["CallResult", "PureCall"]


@dataclass(frozen=True, eq=False)
class CallResult:
    """What one call gave, before anything is written; a pytree of its fields.

    Attributes:
        outputs: The outputs of the method, as `wrap_statics` gives them.
        changed: New state by position in the layout.
        transient: Transient collections.
        loss: The sum of the loss collections, None without one.
        seed: The next seed, None if no stream was needed.
    """

    outputs: PyTree
    changed: dict[int, Array]
    transient: dict[str, PyTree]
    loss: Array | None
    seed: Array


jax.tree_util.register_dataclass(
    CallResult,
    data_fields=["outputs", "changed", "transient", "loss", "seed"],
    meta_fields=[],
)


@dataclass(frozen=True, eq=False)
class PureCall:
    """A call as a pure function of stored arrays, a seed, and the arrays of its arguments.

    Attributes:
        module_call: The module, its method and the static arguments.
        plan: Streams and mutability in this mode.
        layout: The stored variables.
        losses: Collections whose leaves are summed into a loss (C7).
        compute_dtype: What floating inputs and params are cast to, None for no cast (A7).
        platforms: What TensorFlow runs it on (K2).
        recompute: Whether a gradient keeps the inputs alone, and computes the rest again.
    """

    module_call: ModuleCall
    plan: ModePlan
    layout: VariableLayout
    losses: tuple[str, ...]
    compute_dtype: str | None
    platforms: tuple[str, ...]
    recompute: bool = False

    def __call__(self, values: Sequence[Array], seed: Array, arrays: Sequence[Array]) -> CallResult:
        """Runs the module.

        Args:
            values: The stored arrays in the order of the layout.
            seed: `uint32[2]`; None if no stream is needed.
            arrays: The arrays of the arguments.

        Returns:
            Outputs, changed state, transient collections, the loss, and the next seed.

        Raises:
            StateStructureError: If state comes back in another form.
        """
        run = jax.checkpoint(self._run) if self.recompute else self._run
        result: CallResult = run(values, seed, arrays)
        return result

    def _run(self, values: Sequence[Array], seed: Array, arrays: Sequence[Array]) -> CallResult:
        rngs = stream_rngs(seed, self.plan.streams) if self.plan.streams else {}
        variables = self.layout.unflatten(self._cast_params(values))
        outputs, updates = self.module_call.apply(
            variables,
            rngs,
            self._cast_arguments(arrays),
            training=self.plan.training,
            mutable=self.plan.mutable,
            optional_keys=self.plan.optional_keys,
        )
        changed, transient = self._sort(variables, updates)
        following = next_seed(seed) if self.plan.streams else None
        return CallResult(outputs, changed, transient, self._loss(transient), following)

    @functools.cached_property
    def moves(self) -> bool:
        """Whether a call may draw a seed or change state."""
        roles = map(self.layout.role, self.plan.updates)
        return bool(self.plan.streams) or any(role is Role.STATE for role in roles)

    def _cast(self, value: Any) -> Any:
        if isinstance(value, np.ndarray | np.generic):
            value = jnp.asarray(value)  # NumPy would promote half precision in its own way
        if self.compute_dtype and jnp.issubdtype(value.dtype, jnp.floating):
            return jnp.asarray(value, self.compute_dtype)
        return value

    def _cast_arguments(self, arrays: Sequence[Array]) -> list[Any]:
        # A number of Python gives way to the dtypes that it meets: it needs no cast.
        numbers = self.module_call.structure.number_positions()
        return [
            array if index in numbers else self._cast(array) for index, array in enumerate(arrays)
        ]

    def _cast_params(self, values: Sequence[Array]) -> list[Any]:
        if not self.compute_dtype:
            return list(values)
        layout = self.layout
        pairs = zip(values, layout.specs, strict=True)
        return [self._cast(value) if layout.optimizes(spec) else value for value, spec in pairs]

    def _sort(
        self, variables: Variables, updates: Variables
    ) -> tuple[dict[int, Array], dict[str, Any]]:
        by_role = split_collections(updates, {n: self.layout.role(n) for n in updates})
        state, transient = by_role[Role.STATE], by_role[Role.TRANSIENT]
        changed = self._changed_state(variables, state)
        return changed, {name: tree for name, tree in transient.items() if tree}

    def _changed_state(self, variables: Variables, state: Variables) -> dict[int, Array]:
        if not state:
            return {}
        before = dict(flatten_with_paths({name: variables.get(name, {}) for name in state})[0])
        after = dict(flatten_with_paths(dict(state))[0])
        changed = {}
        for index, spec in enumerate(self.layout.specs):
            if spec.path[0] not in state:
                continue
            leaf = after.pop(spec.path, None)
            if leaf is before[spec.path]:
                continue
            changed[index] = self._checked(spec, leaf)
        for path, leaf in after.items():
            raise self._misfit(path, "nothing", str(VariableSpec.from_leaf(path, leaf)))
        return changed

    def _checked(self, spec: VariableSpec, leaf: Array) -> Any:
        if leaf is None:
            raise self._misfit(spec.path, str(spec), "nothing")
        leaf = leaf if hasattr(leaf, "dtype") else jnp.asarray(leaf)
        found = VariableSpec.from_leaf(spec.path, leaf)
        if found != spec:
            raise self._misfit(spec.path, str(spec), str(found))
        return spec.store(leaf)

    def _misfit(self, path: tuple[str, ...], stored: str, found: str) -> StateStructureError:
        return StateStructureError(
            f"{self.module_call.title} returned state of another form at {format_path(path)!r}.",
            expected=stored,
            found=found,
            fix="Keep the shape and dtype of state fixed, or make the collection transient with "
            "collections=CollectionPolicy(transient=(...)).",
            law="C4",
        )

    def _loss(self, transient: Mapping[str, PyTree]) -> Any:
        leaves = [
            leaf
            for name in self.losses
            for leaf in jax.tree_util.tree_leaves(transient.get(name, ()))
        ]
        return sum(jnp.sum(leaf) for leaf in leaves[1:]) + jnp.sum(leaves[0]) if leaves else None
