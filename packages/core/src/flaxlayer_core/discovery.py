"""What a module is, by abstract evaluation: variables, roles, streams (B1, C2, C3, R1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
from flax import errors as flax_errors
from flax.core import DenyList

from flaxlayer_core.collections import Role, VariableLayout, decide_role, same_structure
from flaxlayer_core.errors import BuildModuleError, MatchVariablesError
from flaxlayer_core.given import merge_missing, override_variables
from flaxlayer_core.late import subtract_tree
from flaxlayer_core.plans import Discovery, ModePlan, Probe, abstract_keys, trace_init
from flaxlayer_core.streams import find_streams
from flaxlayer_core.tracing import TracedFunction

__all__ = ["UNTRACEABLE", "discover", "refuse_late"]

UNTRACEABLE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)
_ABSENT_OR_IMMUTABLE = (
    flax_errors.ModifyScopeVariableError,
    flax_errors.ScopeCollectionNotFound,
    flax_errors.ScopeVariableNotFoundError,
    flax_errors.ScopeParamNotFoundError,
)


def discover(
    probe: Probe,
    arrays: Sequence[Any],
    *,
    abstract: bool = True,
    variables: Mapping[str, Any] | None = None,
    applied: bool = True,
    prepare: bool = False,
) -> Discovery:
    """Finds the variables, roles and streams of a module for given arrays.

    Args:
        probe: The module and its call.
        arrays: Abstract arrays; concrete ones if `abstract` is False.
        abstract: Whether to evaluate by `jax.eval_shape`, or op by op for a module that branches
            on values.
        variables: What the layer stores already, where only the call is new: another method, other
            static arguments. None to find it from init.
        applied: Whether the module must be applicable to these arrays, not only initialisable.
        prepare: Whether the initialisers compile meanwhile, because initial values come next.

    Returns:
        What was found. No array is made when `abstract`.

    Raises:
        BuildModuleError: If `variables` are given and the call makes further state.
        jax.errors.ConcretizationTypeError: If the module branches on values and `abstract`.

    Example:

    ```python
    >>> import flax.linen as nn, jax, jax.numpy as jnp
    >>> from flaxlayer_core.arguments import split_arguments
    >>> from flaxlayer_core.linen import LinenModule
    >>> from flaxlayer_core.signatures import MethodCall
    >>> module = LinenModule(nn.Dropout(0.5))
    >>> call = MethodCall.from_method(module, None)
    >>> x = jax.ShapeDtypeStruct((2, 3), jnp.float32)
    >>> arrays, structure = split_arguments((x,), {})
    >>> found = discover(Probe(module, call, call, structure), arrays)
    >>> found.training.streams, found.inference.streams
    (('dropout',), ())

    ```
    """
    search = _Search(probe, tuple(arrays), abstract, prepare)
    if variables is not None:
        return search.run_stored(variables)
    found = search.run() if applied else search.run_tolerant()
    return replace(found, traced_init=search.traced_init)


def refuse_late(probe: Probe, found: Discovery) -> None:
    """Refuses state that is not made at init where there is no place for it any more (C2).

    Raises:
        BuildModuleError: If the discovery found such state.
    """
    if found.late:
        raise BuildModuleError(
            f"{probe.title} makes state that is not known from its build: "
            + ", ".join(sorted(found.late))
            + ".",
            expected="state that init or the call that builds the layer makes",
            found="a collection that only another call makes, or only once other state is made",
            fix="Create the variable at init as well, or make the collection transient with "
            "collections=CollectionPolicy(transient=(...)).",
            law="C2",
        )


@dataclass
class _Search:
    probe: Probe
    arrays: tuple[Any, ...]
    abstract: bool
    prepare: bool
    traced_init: TracedFunction | None = None

    def run(self) -> Discovery:
        initial, init_streams = self._init(training=True)
        try:
            variables = self._with_given(initial)
            found = self._modes(variables, init_streams)
        except (*_ABSENT_OR_IMMUTABLE, MatchVariablesError):
            found = None
        if found is not None and not _late_state(self.probe, found):
            return found
        # B2: a variable that only inference makes comes from an init with the flag off.
        extra, extra_streams = self._init(training=False)
        init_streams = tuple(sorted({*init_streams, *extra_streams}))
        merged = merge_missing(initial, extra)
        try:
            variables = self._with_given(merged)
        except MatchVariablesError:
            # What was given may be state that no init makes.
            found = self._modes(merged, init_streams)
            if not _late_state(self.probe, found):
                raise
        else:
            found = self._modes(variables, init_streams)
        return replace(found, extra_init=True, late=_late_state(self.probe, found))

    def run_tolerant(self) -> Discovery:
        try:
            return self.run()
        except UNTRACEABLE:
            raise
        except Exception:  # any module may fail in any way on inputs that are not a call's
            variables, init_streams = self._init(training=True)
        roles = {
            name: self._named_role(name) or decide_role(stable=not _holds_tuples(tree))
            for name, tree in variables.items()
        }
        kept = {n: t for n, t in variables.items() if roles[n] is not Role.TRANSIENT}
        stored = self._with_given(kept)
        layout = VariableLayout.from_variables(stored, roles)
        nothing = ModePlan(False, (), (), None, {})
        return Discovery(
            layout, stored, init_streams, False, nothing, nothing, self.abstract, applied=False
        )

    def run_stored(self, variables: Mapping[str, Any]) -> Discovery:
        found = self._modes(dict(variables), ())
        found = replace(found, late=_late_state(self.probe, found))
        refuse_late(self.probe, found)
        return found

    def _with_given(self, variables: dict[str, Any]) -> dict[str, Any]:
        given = self.probe.fit_given(variables)
        specs = {path: _struct(leaf) if self.abstract else leaf for path, leaf in given.items()}
        return override_variables(variables, specs)

    def _evaluate(self, function: Callable[..., Any], *args: Any) -> Any:
        if self.abstract:
            return jax.eval_shape(function, *args)
        return _as_arrays(function(*args))

    def _keys(self, streams: Sequence[str]) -> dict[str, Any]:
        key: Any = self._evaluate(jax.random.key, 0)
        return dict.fromkeys(streams, key)

    def _init(self, *, training: bool) -> tuple[dict[str, Any], tuple[str, ...]]:
        def run(streams: tuple[str, ...]) -> dict[str, Any]:
            if not self.abstract:
                made = self.probe.init(self._keys(streams), self.arrays, training=training)
                concrete: dict[str, Any] = _as_arrays(made)
                return concrete
            traced = trace_init(self.probe, streams, self.arrays, training=training)
            if training:
                self.traced_init = traced
            if self.prepare and traced.sized and not traced.needs(1):
                traced.prepare()
            variables: dict[str, Any] = traced.result
            return variables

        return find_streams(
            self.probe.flax_module, run, start=("params",), listed=None, optimistic=True
        )

    def _apply(
        self, variables: Mapping[str, Any], streams: Sequence[str], training: bool, denied: Any
    ) -> tuple[Any, dict[str, Any]]:
        def apply(variables: Any, rngs: Any, arrays: Any) -> Any:
            return self.probe.apply(
                variables, rngs, arrays, training=training, mutable=DenyList(tuple(denied))
            )

        result: tuple[Any, dict[str, Any]] = self._evaluate(
            apply, dict(variables), self._keys(streams), self.arrays
        )
        return result

    def _plan(self, variables: Mapping[str, Any], training: bool, denied: set[str]) -> ModePlan:
        offered = self.probe.flax_module.offered_streams(init=False)
        if offered is not None and self.probe.rngs is None and self.abstract:
            return self._plan_offered(variables, training, denied, offered)

        def run(streams: tuple[str, ...]) -> tuple[Any, dict[str, Any]]:
            return self._apply(variables, streams, training, denied)

        (output, updates), streams = find_streams(
            self.probe.flax_module,
            run,
            start=(),
            listed=self.probe.rngs,
            # R1: at inference a stream is offered only to a module that cannot do without.
            optimistic=training,
        )
        return ModePlan(training, streams, tuple(sorted(denied)), output, updates)

    def _plan_offered(
        self,
        variables: Mapping[str, Any],
        training: bool,
        denied: set[str],
        offered: tuple[str, ...],
    ) -> ModePlan:
        def apply(variables: Any, arrays: Any, *keys: Any) -> Any:
            rngs = dict(zip(offered, keys, strict=True))
            mutable = DenyList(tuple(denied))
            return self.probe.apply(variables, rngs, arrays, training=training, mutable=mutable)

        keys = abstract_keys(offered).values()
        traced = TracedFunction(apply, dict(variables), self.arrays, *keys)
        # R1: those that a result depends on; a transform hands on what it does not use.
        drawn = tuple(name for i, name in enumerate(offered) if traced.needs(2 + i))
        output, updates = traced.result
        return ModePlan(training, drawn, tuple(sorted(denied)), output, updates)

    def _modes(self, variables: dict[str, Any], init_streams: tuple[str, ...]) -> Discovery:
        policy = self.probe.policy
        trainable = {name for name in variables if self._named_role(name) is Role.TRAINABLE}
        trainable |= set(policy.trainable) - set(policy.state)
        given = {
            n: tree for n, tree in variables.items() if self._named_role(n) is not Role.TRANSIENT
        }
        training = self._plan(given, True, trainable)
        roles = self._roles(given, training)
        stored = {name: given[name] for name in given if roles[name] is not Role.TRANSIENT}
        if len(stored) < len(given):
            # C2: what init sowed is not fed to calls, and must not be to the plan.
            training = self._plan(stored, True, trainable)
        inference = self._inference(stored, trainable, roles, training)
        for name in set(inference.updates) - set(roles):
            roles[name] = self._roles(stored, inference)[name]
        layout = VariableLayout.from_variables(stored, roles)
        return Discovery(layout, stored, init_streams, False, training, inference, self.abstract)

    def _named_role(self, collection: str) -> Role | None:
        # C2: by the policy, else by the kind of its variables; None where calls must tell.
        named = self.probe.policy.role(collection)
        return named or self.probe.flax_module.default_role(collection)

    def _roles(self, given: Mapping[str, Any], plan: ModePlan) -> dict[str, Role]:
        moved = [
            name
            for name, tree in plan.updates.items()
            if self._named_role(name) is None
            and not (name in given and same_structure(given[name], tree))
        ]
        again: Mapping[str, Any] = {}
        if moved:
            fed = {**given, **plan.updates}
            _, again = self._apply(fed, plan.streams, plan.training, plan.denied)
        names = {*given, *plan.updates}
        return {
            name: self._named_role(name)
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
        modes = self.probe.flax_module.has_modes
        flagged = modes or self.probe.call.flags or training.streams
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


def _holds_tuples(tree: Any) -> bool:
    # Without an application to tell, a tuple is what `sow` makes: it would grow.
    if isinstance(tree, Mapping):
        return any(map(_holds_tuples, tree.values()))
    return type(tree) is tuple


def _as_arrays(tree: Any) -> Any:
    # A variable may be a Python number, which has no dtype.
    return jax.tree_util.tree_map(jax.numpy.asarray, tree)


def _struct(leaf: Any) -> jax.ShapeDtypeStruct:
    struct: jax.ShapeDtypeStruct = jax.eval_shape(jax.numpy.asarray, leaf)
    return struct


def _late_state(probe: Probe, found: Discovery) -> dict[str, Any]:
    late: dict[str, Any] = {}
    for plan in (found.training, found.inference):
        for name, tree in plan.updates.items():
            stored = found.variables.get(name, {})
            if found.layout.role(name) is not Role.STATE or same_structure(stored, tree):
                continue
            part = subtract_tree(tree, stored)
            if not same_structure(stored, subtract_tree(tree, part)):
                raise _misshapen(probe, name, stored, tree)
            late = merge_missing(late, {name: part})
    structs: dict[str, Any] = jax.tree_util.tree_map(_struct, late)
    return structs


def _misshapen(probe: Probe, name: str, stored: Any, tree: Any) -> BuildModuleError:
    return BuildModuleError(
        f"{probe.title} changes the form of its state {name!r} when it is applied.",
        expected=f"the form that it had before: {stored}",
        found=f"{tree}",
        fix="Keep the structure, shapes and dtypes of state fixed, or make the collection "
        "transient with collections=CollectionPolicy(transient=(...)).",
        law="C2",
    )
