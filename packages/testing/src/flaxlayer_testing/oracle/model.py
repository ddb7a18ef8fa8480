"""The laws of a layer as a pure model: what it holds and gives, step by step, by raw Flax alone.

Nothing here knows a layer. A `LayerState` is what the laws say that a layer holds; a function of
the model returns what a step gives and the state after it, so that a layer that took the same step
can be compared with both (T9, T10).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import repeat
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flaxlayer_testing.oracle.call import RawCall, Variables, is_array
from flaxlayer_testing.oracle.keys import call_keys, init_keys
from flaxlayer_testing.oracle.oracle import Oracle
from flaxlayer_testing.oracle.probe import probe_loss
from flaxlayer_testing.oracle.variable_trees import cast_floats, cast_params, entry_names

__all__ = [
    "Calls",
    "LawModel",
    "LawSettings",
    "LayerState",
    "Result",
    "part_of",
    "path_names",
    "replaced",
]


@dataclass(frozen=True)
class LawSettings:
    """The settings of a layer, as far as the laws speak of them.

    Attributes:
        seed: The seed of init and calls (R3).
        compute_dtype: What floating inputs and params are cast to at a call; None for no cast (A7).
        stored_dtype: What floating params are stored in; None for the module's own dtypes (C6).
        state_updates: When changed state is kept (C3).
        losses: Collections whose leaves are summed into the loss (C7).
        return_sown: Transient collections that a call returns beside the outputs (C7).
        trained: The collections that are trained; None for those of the module (C2).
        losses_behind: How many layers behind add the probe loss of the outputs (A11).
    """

    seed: int
    compute_dtype: str | None = None
    stored_dtype: str | None = None
    state_updates: str = "always"
    losses: tuple[str, ...] = ("losses",)
    return_sown: tuple[str, ...] = ()
    trained: frozenset[str] | None = None
    losses_behind: int = 0


@dataclass(frozen=True)
class LayerState:
    """What a layer holds.

    Attributes:
        variables: Params and state, as raw apply takes them (W2).
        draws: How many seeds its seed generator has given (R2).
        frozen: Paths of frozen variables (C5).
        trainable: Whether the layer may change at all (C5).
    """

    variables: Mapping[str, Any]
    draws: int = 0
    frozen: frozenset[str] = frozenset()
    trainable: bool = True


@dataclass(frozen=True)
class Result:
    """What a call gives.

    Attributes:
        outputs: What the layer returns: the module's outputs, beside what `return_sown` names.
        sown: The transient collections of the call (C7).
        loss: The sum of all leaves of the collections of losses (C7).
    """

    outputs: Any
    sown: Mapping[str, Any]
    loss: Any


def path_names(tree: Any) -> dict[str, Any]:
    """Returns the leaves of a tree of variables by their paths (W1).

    The entry of a box, such as `nn.Partitioned`, is no part of a path; slashes are escaped.

    Args:
        tree: Collections of variables.

    Returns:
        The leaves by path, such as `"params/Dense_0/kernel"`.
    """
    pairs, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {_path(keys): leaf for keys, leaf in pairs}


def _path(keys: Any) -> str:
    names = entry_names(keys)
    return "/".join(name.replace("%", "%25").replace("/", "%2F") for name in names)


def replaced(tree: Any, kept: Mapping[str, Any]) -> Any:
    """Returns a tree with other values at some of its paths."""

    def pick(keys: Any, leaf: Any) -> Any:
        return kept.get(_path(keys), leaf)

    return jax.tree_util.tree_map_with_path(pick, tree)


def part_of(tree: Any, paths: frozenset[str]) -> dict[str, Any]:
    """Returns the part of a tree of variables that stands at some paths.

    Args:
        tree: Collections of variables.
        paths: Paths as `path_names` gives them.

    Returns:
        The tree without all else; no mapping in it is empty.
    """
    return _part(tree, paths) or {}


def _part(tree: Any, paths: frozenset[str]) -> Any:
    if isinstance(tree, Mapping):
        parts = {name: _part(tree[name], _below(paths, name)) for name in tree}
        return {name: part for name, part in parts.items() if part is not None} or None
    return tree if paths else None


def _below(paths: frozenset[str], name: Any) -> frozenset[str]:
    own = _path([jax.tree_util.DictKey(name)])
    return frozenset(path[len(own) + 1 :] for path in paths if f"{path}/".startswith(f"{own}/"))


def _only(outputs: Sequence[Any]) -> Any:
    (one,) = outputs
    return one


@dataclass(frozen=True)
class Calls:
    """The calls of a module that one call of its surrounding makes.

    Attributes:
        parts: The calls, one after the other.
        joined: Makes of their outputs what the surrounding gives.
    """

    parts: tuple[RawCall, ...]
    joined: Callable[[Sequence[Any]], Any] = _only


@dataclass(frozen=True, eq=False)
class LawModel:
    """The laws for one module with its settings.

    Attributes:
        oracle: The module, run by raw Flax.
        settings: The settings of the layer.
        context: A context of JAX that changes what is compiled.
        uncompiled: Whether nothing is compiled, as around what may do anything (A6).
    """

    oracle: Oracle
    settings: LawSettings
    context: str = ""
    uncompiled: bool = False
    _known: dict[Any, Any] = field(default_factory=dict, repr=False)

    # Build.

    def built(self) -> LayerState:
        """Returns the state after the build: the values of raw init, given ones in their place."""
        if "built" not in self._known:
            keys = init_keys(self.settings.seed, self.oracle.init_streams)
            initial = self.oracle.init(keys)
            stored = {name: initial[name] for name in self.oracle.stored}
            self._known["built"] = LayerState(self._stored(stored))
        built: LayerState = self._known["built"]
        return built

    def _stored(self, variables: Variables) -> dict[str, Any]:
        made = cast_params(variables, self.oracle.raw.trainable, self.settings.stored_dtype)
        # A variable may be a Python number, which a layer stores as an array.
        return {n: jax.tree_util.tree_map(jnp.asarray, tree) for n, tree in made.items()}

    # Calls.

    def streams(self, raw: RawCall, *, training: bool) -> frozenset[str]:
        """Returns the streams that a call draws from in a mode (R1)."""
        known = ("streams", training, *_form(raw))
        if known not in self._known:
            self._known[known] = self.oracle.with_call(raw).drawn_streams(training=training)
        found: frozenset[str] = self._known[known]
        return found

    def keys(self, state: LayerState, raw: RawCall, *, training: bool) -> dict[str, Any]:
        """Returns the keys of the next call (R2, R4)."""
        streams = self.streams(raw, training=training)
        return call_keys(self.settings.seed, state.draws, streams)

    def function(self, *, training: bool, raw: RawCall | None = None) -> Callable[..., Any]:
        """Returns raw apply as the settings let it run: a pure function of a call (A7, C3).

        Args:
            training: The mode.
            raw: Another call of the module.

        Returns:
            A function `(variables, rngs, arrays) -> (outputs, updates)`.
        """
        oracle = self.oracle if raw is None else self.oracle.with_call(raw)
        return self._function(oracle, training=training)

    def _function(self, oracle: Oracle, *, training: bool) -> Callable[..., Any]:
        run, dtype = oracle.function(training=training), self.settings.compute_dtype
        trained = self.oracle.raw.trainable

        def apply(variables: Variables, rngs: Any, arrays: Any) -> Any:
            cast = cast_params(variables, trained, dtype)
            return run(cast, rngs, cast_floats(arrays, dtype))

        return apply

    def call(self, state: LayerState, raw: RawCall, *, training: bool) -> tuple[Result, LayerState]:
        """Returns what a call gives, and the state after it.

        Args:
            state: The state before.
            raw: The call with its arguments.
            training: The mode.

        Returns:
            The result and the next state.
        """
        # What a call may not change is part of it: one that the module refuses tells none of that.
        oracle = self.oracle.with_call(raw)
        form = "call", training, oracle.denied_in(training=training), *_form(raw)
        run = self._compile(form, self._function(oracle, training=training))
        keys = self.keys(state, raw, training=training)
        outputs, updates = run(dict(state.variables), keys, raw.arrays)
        drawn = replace(state, draws=state.draws + bool(keys))
        return self._result(outputs, updates), self.after(drawn, updates, training=training)

    def written(self, state: LayerState, raw: RawCall, *, training: bool) -> frozenset[str]:
        """Returns the paths of what a call changes, not of what it hands back as it was (C3)."""
        run = self.function(training=training, raw=raw)
        keys = self.keys(state, raw, training=training)

        def updates(variables: Variables) -> Variables:
            changed: Variables = run(variables, keys, raw.arrays)[1]
            return changed

        variables = dict(state.variables)
        traced, shapes = jax.make_jaxpr(updates, return_shape=True)(variables)
        given = dict(zip(path_names(variables), traced.jaxpr.invars, strict=True))
        made = zip(path_names(shapes), traced.jaxpr.outvars, strict=True)
        return frozenset(path for path, variable in made if given.get(path) is not variable)

    def after(self, state: LayerState, updates: Variables, *, training: bool) -> LayerState:
        """Returns the state after a call that changed variables (C3, C5)."""
        when = self.settings.state_updates
        if not state.trainable or when == "never" or (when == "training" and not training):
            return state
        following = self.oracle.next_variables(state.variables, updates)
        before = path_names(state.variables)
        kept = {path: before[path] for path in state.frozen if path in before}
        return replace(state, variables=replaced(following, kept))

    def _result(self, outputs: Any, updates: Variables) -> Result:
        sown = self.oracle.transient(updates)
        if self.settings.return_sown:
            outputs = outputs, {n: sown[n] for n in self.settings.return_sown if n in sown}
        return Result(outputs, sown, self._loss(sown))

    def _loss(self, sown: Variables) -> Any:
        leaves = jax.tree_util.tree_leaves([sown.get(n, ()) for n in self.settings.losses])
        return sum((jnp.sum(leaf) for leaf in leaves), jnp.zeros((), jnp.float32))

    def _compile(self, key: Any, function: Callable[..., Any]) -> Callable[..., Any]:
        if self.uncompiled:
            return function
        known = self.context, key
        if known not in self._known:
            self._known[known] = self.oracle.compile(function)
        compiled: Callable[..., Any] = self._known[known]
        return compiled

    # Training.

    def trained(self, state: LayerState) -> frozenset[str]:
        """Returns the paths of the variables that an optimizer may change (C2, C5, C6)."""
        if not state.trainable:
            return frozenset()
        names = self.settings.trained
        names = self.oracle.raw.trainable if names is None else names
        params = {n: t for n, t in state.variables.items() if n in names}
        floating = {p for p, leaf in path_names(params).items() if _inexact(leaf)}
        return frozenset(floating) - state.frozen

    def loss(
        self, state: LayerState, calls: Calls, keys: Any, arrays: Any
    ) -> tuple[Any, Mapping[str, Any]]:
        """Returns the probe loss of training calls with the sown losses, and what they leave (C7).

        Args:
            state: The state before.
            calls: The calls of the module, one after the other.
            keys: The keys of each.
            arrays: The arrays of each.

        Returns:
            The loss of all of them, and the variables after the last.
        """
        outputs, sown = list[Any](), jnp.zeros((), jnp.float32)
        for raw, own, given in zip(calls.parts, keys, arrays, strict=True):
            run = self.function(training=True, raw=raw)
            found, updates = run(state.variables, own, given)
            result = self._result(found, updates)
            outputs.append(result.outputs)
            sown, state = sown + result.loss, self.after(state, updates, training=True)
        probe = probe_loss(calls.joined(outputs))
        return sum(repeat(probe, self.settings.losses_behind), probe) + sown, state.variables

    def step(
        self,
        state: LayerState,
        calls: Calls,
        rate: float,
        descent: Callable[[Any], Any] = lambda gradients: gradients,
    ) -> LayerState:
        """Returns the state after one step of gradient descent on the probe loss.

        Args:
            state: The state before.
            calls: The calls of the module in the step.
            rate: The learning rate.
            descent: Makes of the gradients of `jax.grad` what an optimizer descends along.

        Returns:
            The state after the step.
        """
        paths = self.trained(state)

        def run(variables: Any, keys: Any, arrays: Any) -> Any:
            free = {p: leaf for p, leaf in path_names(variables).items() if p in paths}

            def loss(free: Any) -> Any:
                begun = replace(state, variables=replaced(variables, free))
                return self.loss(begun, calls, keys, arrays)

            gradients, left = jax.grad(loss, has_aux=True)(free)
            moved = jax.tree_util.tree_map(partial(_descend, rate), free, descent(gradients))
            return moved, left

        forms = tuple(_form(raw) for raw in calls.parts)
        known = ("step", tuple(sorted(paths)), state.trainable, state.frozen, rate, forms)
        run = self._compile(known, run)
        keys = []
        for raw in calls.parts:
            keys.append(self.keys(state, raw, training=True))
            state = replace(state, draws=state.draws + bool(keys[-1]))
        moved, left = run(dict(state.variables), keys, [raw.arrays for raw in calls.parts])
        return replace(state, variables=replaced(left, moved))


def _descend(rate: float, value: Any, gradient: Any) -> Any:
    return value - jnp.asarray(rate, value.dtype) * gradient


def _inexact(leaf: Any) -> bool:
    return bool(
        jnp.issubdtype(np.asarray(leaf).dtype if np.isscalar(leaf) else leaf.dtype, jnp.inexact)
    )


def _form(raw: RawCall) -> tuple[Any, ...]:
    """Returns what a compiled call depends on beside the arrays."""
    leaves, structure = jax.tree_util.tree_flatten((raw.inputs, dict(raw.arguments)))
    statics = tuple("array" if is_array(leaf) else repr(leaf) for leaf in leaves)
    return raw.method, raw.training_arg, raw.keys, raw.listed, structure, statics
