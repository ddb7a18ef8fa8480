"""How a module is applied in each mode: its streams, the roles of its collections (C2, C3, R1)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
from flax import errors as flax_errors
from flax.core import DenyList

from flaxlayer_core.discovery.module_call import ModuleCall, abstract_keys
from flaxlayer_core.discovery.module_spec import ModePlan, ModuleSpec
from flaxlayer_core.discovery.streams import find_streams
from flaxlayer_core.jaxprs.traced import TracedFunction, made_arrays
from flaxlayer_core.modules.key_arguments import KeyArgument
from flaxlayer_core.modules.nnx.supplied_rngs import noted_keys
from flaxlayer_core.trees.collections import (
    Role,
    VariableLayout,
    decide_role,
    same_structure,
    wider_dtypes,
)

__all__ = ["Planner"]

# From bool over integers and floats to complex numbers.
_WIDENINGS = 4
_ABSENT = (
    flax_errors.ScopeCollectionNotFound,
    flax_errors.ScopeVariableNotFoundError,
    flax_errors.ScopeParamNotFoundError,
)


@dataclass(frozen=True)
class Planner:
    """Applies a module to arrays until it is known how each mode is run.

    Attributes:
        call: The module and its call.
        arrays: Abstract arrays; concrete ones if `abstract` is False.
        abstract: Whether to evaluate by `jax.eval_shape`, or op by op.
        kept: Collections that are stored, whatever the policy or their kind says: those that a
            layer stores already, and given ones that a call reads (B4).
    """

    call: ModuleCall
    arrays: tuple[Any, ...]
    abstract: bool
    kept: frozenset[str] = frozenset()

    def evaluate(self, function: Callable[..., Any], *args: Any) -> Any:
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

    def keys(self, streams: Sequence[str]) -> dict[str, Any]:
        """Returns a key for each stream, abstract or not."""
        key: Any = self.evaluate(jax.random.key, 0)
        return dict.fromkeys(streams, key)

    def _apply(
        self,
        variables: Mapping[str, Any],
        streams: Sequence[str],
        training: bool,
        denied: Any,
        optional_keys: bool,
    ) -> tuple[Any, dict[str, Any]]:
        def apply(variables: Any, rngs: Any, arrays: Any) -> Any:
            return self.call.apply(
                variables,
                rngs,
                arrays,
                training=training,
                mutable=DenyList(tuple(denied)),
                optional_keys=optional_keys,
            )

        result: tuple[Any, dict[str, Any]] = self.evaluate(
            apply, dict(variables), self.keys(streams), self.arrays
        )
        return result

    def _plan(self, variables: Mapping[str, Any], training: bool, denied: set[str]) -> ModePlan:
        try:
            return self._plan_denied(variables, training, denied)
        except _ABSENT:
            # `nn.map_variables(init=True)` refuses params that may not change beside state that may
            opened = self._plan_opened(variables, training, denied)
            if opened is None:
                raise
        return opened

    def _plan_opened(
        self, variables: Mapping[str, Any], training: bool, denied: set[str]
    ) -> ModePlan | None:
        try:
            plan = self._plan_denied(variables, training, set())
        except Exception:  # in any way: then it is the first failure that counts
            return None
        updates = dict(plan.updates)
        made = {name: updates.pop(name) for name in denied if name in updates}
        if all(same_structure(variables.get(name), tree) for name, tree in made.items()):
            return replace(plan, updates=updates)  # C3: what it makes of params is not kept
        return None

    def _plan_denied(
        self, variables: Mapping[str, Any], training: bool, denied: set[str]
    ) -> ModePlan:
        if not training and any(not argument.required for argument in self.call.keys):
            # R5: at inference a method gets keys that it can do without only if it cannot.
            with contextlib.suppress(Exception):  # a real fault comes again
                return self._plan_keyed(variables, training, denied, optional_keys=False)
        return self._plan_keyed(variables, training, denied, optional_keys=True)

    def _plan_keyed(
        self, variables: Mapping[str, Any], training: bool, denied: set[str], *, optional_keys: bool
    ) -> ModePlan:
        supplied: set[str] = set()
        keys = [key for key in self.call.keys if optional_keys or key.required]
        offered = self.call.flax_module.facts.offered_streams(init=False)
        by_need = offered is not None and self.call.rngs is None and self.abstract

        def run(streams: tuple[str, ...]) -> tuple[Any, dict[str, Any]]:
            result = self._apply(variables, streams, training, denied, optional_keys)
            supplied.clear()
            supplied.update(noted_keys())
            return result

        def search() -> tuple[tuple[Any, dict[str, Any]], tuple[str, ...]]:
            return find_streams(
                self.call.flax_module,
                run,
                start=tuple(key.stream for key in keys if key.stream is not None),
                listed=self.call.rngs,
                # R1: at inference a stream is offered only to a module that cannot do without.
                optimistic=training,
                supplies=bool(keys),
            )

        plan = ModePlan(training, (), tuple(sorted(denied)), None, {}, optional_keys)
        if by_need:
            found = search()[1] if keys else ()
            assert offered is not None
            names = tuple(dict.fromkeys((*offered, *found)))
            return self._plan_by_need(plan, variables, names, self._asked(supplied, keys))
        (output, updates), streams = search()
        plan = replace(plan, streams=streams, output=output, updates=updates)
        spare = supplied - self._asked(supplied, keys)
        if spare and self.call.rngs is None and self.abstract:
            needed = self._plan_by_need(plan, variables, streams, set()).streams
            return replace(plan, streams=tuple(n for n in streams if n in needed or n not in spare))
        return plan

    def _asked(self, supplied: set[str], keys: Sequence[KeyArgument]) -> set[str]:
        # R4: a required key that nothing is drawn from may be any key, but the streams of an
        # nnx.Rngs must be there when they are asked for.
        if any(key.kind == "rngs" for key in keys):
            return set(supplied)
        return supplied - {key.stream for key in keys if key.required}

    def _plan_by_need(
        self,
        plan: ModePlan,
        variables: Mapping[str, Any],
        offered: tuple[str, ...],
        asked: set[str],
    ) -> ModePlan:
        def apply(variables: Any, arrays: Any, *keys: Any) -> Any:
            return self.call.apply(
                variables,
                dict(zip(offered, keys, strict=True)),
                arrays,
                training=plan.training,
                mutable=plan.mutable,
                optional_keys=plan.optional_keys,
            )

        keys = abstract_keys(offered).values()
        bound = self.call.bound
        traced = TracedFunction(apply, dict(variables), self.arrays, *keys, bound=bound)
        # R1: those that a result depends on; a transform hands on what it does not use.
        drawn = [n for i, n in enumerate(offered) if traced.needs(2 + i) or n in asked]
        output, updates = traced.result
        return replace(plan, streams=tuple(sorted(drawn)), output=output, updates=updates)

    def run(self, variables: Mapping[str, Any], init_streams: tuple[str, ...]) -> ModuleSpec:
        """Finds the roles of collections and how the module is applied in each mode.

        Args:
            variables: What init made, transient collections included.
            init_streams: The streams that init draws from.

        Returns:
            What was found; state whose dtype calls widen is in the wider dtype (C2).
        """
        found = self._run(variables, init_streams)
        for _ in range(_WIDENINGS):
            wider = _widened(found)
            if wider is None:
                break
            found = self._run({**variables, **wider}, init_streams)
        return found

    def _run(self, variables: Mapping[str, Any], init_streams: tuple[str, ...]) -> ModuleSpec:
        policy = self.call.policy
        trainable = {name for name in variables if self.named_role(name) is Role.TRAINABLE}
        trainable |= set(policy.trainable) - set(policy.state)
        given = {
            n: tree for n, tree in variables.items() if self.named_role(n) is not Role.TRANSIENT
        }
        known, training = self._planned(given, True, trainable)
        roles = known._roles(given, training)
        stored = {name: given[name] for name in given if roles[name] is not Role.TRANSIENT}
        if len(stored) < len(given):
            # C2: what init sowed is not fed to calls, and must not be to the plan.
            known, training = known._planned(stored, True, trainable)
        known, inference = known._extended_by(
            lambda: known._inference(stored, trainable, roles, training)
        )
        for name in set(inference.updates) - set(roles):
            roles[name] = known._roles(stored, inference)[name]
        layout = VariableLayout.from_variables(stored, roles)
        return ModuleSpec(
            layout,
            stored,
            init_streams,
            False,
            training,
            inference,
            known.call.flax_module,
            traceable=self.abstract,
        )

    def _planned(
        self, variables: Mapping[str, Any], training: bool, denied: set[str]
    ) -> tuple[Planner, ModePlan]:
        return self._extended_by(lambda: self._plan(variables, training, denied))

    def _extended_by(self, run: Callable[[], ModePlan]) -> tuple[Planner, ModePlan]:
        plan, flax_module = self.call.flax_module.extended_by(run)
        return replace(self, call=replace(self.call, flax_module=flax_module)), plan

    def named_role(self, collection: str) -> Role | None:
        """Returns the role by the policy, else by the kind of its variables (C2).

        Args:
            collection: The name of a collection.

        Returns:
            The role; None where calls must tell.
        """
        named = self.call.policy.role(collection)
        named = named or self.call.flax_module.facts.default_role(collection)
        return Role.STATE if named is Role.TRANSIENT and collection in self.kept else named

    def _roles(self, given: Mapping[str, Any], plan: ModePlan) -> dict[str, Role]:
        moved = [
            name
            for name, tree in plan.updates.items()
            if self.named_role(name) is None
            and not (name in given and same_structure(given[name], tree))
        ]
        again: Mapping[str, Any] = {}
        if moved:
            fed = {**given, **plan.updates}
            _, again = self._apply(
                fed, plan.streams, plan.training, plan.denied, plan.optional_keys
            )
        names = {*given, *plan.updates}
        return {
            name: self.named_role(name)
            or decide_role(
                stable=name not in moved or same_structure(plan.updates[name], again.get(name))
            )
            for name in names
        }

    def _inference(
        self,
        stored: Mapping[str, Any],
        trainable: set[str],
        roles: Mapping[str, Role],
        training: ModePlan,
    ) -> ModePlan:
        state = {name for name in stored if roles[name] is Role.STATE}
        modes = self.call.flax_module.facts.has_modes
        flagged = modes or self.call.method.flags or training.streams or self.call.keys
        if not flagged and not state:
            return replace(training, training=False)
        # C3: the usual module leaves its state alone when it may not change it: one trace.
        quiet = self._attempt(stored, trainable | state)
        if quiet is not None:
            return quiet
        denied = {name for name in state if self._attempt(stored, trainable | {name})}
        plan = self._attempt(stored, trainable | denied) if denied else None
        return plan or self._plan(stored, False, trainable)

    def _attempt(self, stored: Mapping[str, Any], denied: set[str]) -> ModePlan | None:
        try:
            return self._plan(stored, False, denied)
        except Exception:  # a module may insist in any way; a real fault comes again
            return None


def _widened(found: ModuleSpec) -> dict[str, Any] | None:
    wider: dict[str, Any] = {}
    for plan in (found.training, found.inference):
        for name, tree in plan.updates.items():
            if name in found.variables and found.layout.role(name) is Role.STATE:
                widened = wider_dtypes(wider.get(name, found.variables[name]), tree)
                wider |= {} if widened is None else {name: widened}
    return wider or None
