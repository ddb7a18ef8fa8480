"""What a module is, by abstract evaluation: variables, roles, streams (B1, C2, C3, R1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
from flax import errors as flax_errors

from flaxlayer_core.collections import Role, VariableLayout, decide_role, same_structure
from flaxlayer_core.errors import BuildModuleError, MatchVariablesError
from flaxlayer_core.given import merge_missing, override_variables
from flaxlayer_core.late import subtract_tree
from flaxlayer_core.planning import Planner
from flaxlayer_core.plans import Discovery, ModePlan, Probe, trace_init
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
    search = _Search(Planner(probe, tuple(arrays), abstract), prepare)
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
    planner: Planner
    prepare: bool
    traced_init: TracedFunction | None = None

    @property
    def probe(self) -> Probe:
        return self.planner.probe

    @property
    def abstract(self) -> bool:
        return self.planner.abstract

    def run(self) -> Discovery:
        initial, init_streams = self._init(training=True)
        try:
            variables = self._with_given(initial)
            found = self.planner.run(variables, init_streams)
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
            found = self.planner.run(merged, init_streams)
            if not _late_state(self.probe, found):
                raise
        else:
            found = self.planner.run(variables, init_streams)
        return replace(found, extra_init=True, late=_late_state(self.probe, found))

    def run_tolerant(self) -> Discovery:
        try:
            return self.run()
        except UNTRACEABLE:
            raise
        except Exception:  # any module may fail in any way on inputs that are not a call's
            variables, init_streams = self._init(training=True)
        roles = {
            name: self.planner.named_role(name) or decide_role(stable=not _holds_tuples(tree))
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
        found = self.planner.run(dict(variables), ())
        found = replace(found, late=_late_state(self.probe, found))
        refuse_late(self.probe, found)
        return found

    def _with_given(self, variables: dict[str, Any]) -> dict[str, Any]:
        given = self.probe.fit_given(variables)
        specs = {path: _struct(leaf) if self.abstract else leaf for path, leaf in given.items()}
        return override_variables(variables, specs)

    def _init(self, *, training: bool) -> tuple[dict[str, Any], tuple[str, ...]]:
        probe, planner = self.probe, self.planner

        def run(streams: tuple[str, ...]) -> dict[str, Any]:
            if not self.abstract:
                init = partial(probe.init, training=training)
                made: dict[str, Any] = planner.evaluate(init, planner.keys(streams), planner.arrays)
                return made
            traced = trace_init(probe, streams, planner.arrays, training=training)
            if training:
                self.traced_init = traced
            if self.prepare and traced.sized and not traced.needs(1):
                traced.prepare()
            variables: dict[str, Any] = traced.result
            return variables

        return find_streams(probe.flax_module, run, start=("params",), listed=None, optimistic=True)


def _holds_tuples(tree: Any) -> bool:
    # Without an application to tell, a tuple is what `sow` makes: it would grow.
    if isinstance(tree, Mapping):
        return any(map(_holds_tuples, tree.values()))
    return type(tree) is tuple


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
