"""What raw Flax says about a module: variables, roles, streams, refusals; no layer is asked."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import errors as jax_errors

from flaxlayer_testing.oracle.call import (
    Evaluate,
    RawCall,
    Variables,
    arrays_of,
    is_array,
    is_of_module,
)
from flaxlayer_testing.oracle.variable_trees import (
    arrays_only,
    cast_floats,
    cast_params,
    common_part,
    merge_missing,
    paths_of,
    structure_of,
)

__all__ = ["TRANSIENT", "Roles", "arrays_of_both_modes"]

TRANSIENT = ("intermediates", "perturbations")
"""Where Flax's `sow` and `perturb` put what belongs to one call (C2)."""

_UNTRACEABLE = (
    jax_errors.ConcretizationTypeError,
    jax_errors.TracerArrayConversionError,
    jax_errors.TracerIntegerConversionError,
    jax_errors.NonConcreteBooleanIndexError,
)


def _concretely(function: Callable[..., Any], *args: Any) -> Any:
    # A variable may be a Python number, which has no dtype.
    return jax.tree_util.tree_map(jnp.asarray, function(*args))


@dataclass(frozen=True)
class _Found:
    """What evaluation found, and how the module was evaluated."""

    stored: dict[str, Any]
    eventual: dict[str, Any]
    inference_adds: bool
    evaluate: Evaluate


@dataclass(frozen=True, eq=False)
class Roles:
    """What raw Flax says about a call, by abstract evaluation where the module can be traced.

    Attributes:
        raw: The module and its arguments.
        transient_names: Collections that belong to one call by their name.
    """

    raw: RawCall
    transient_names: tuple[str, ...] = TRANSIENT

    # Variables.

    @cached_property
    def _found(self) -> _Found:
        try:
            return self._find(jax.eval_shape)
        except _UNTRACEABLE:
            return self._find(_concretely)

    @property
    def stored(self) -> dict[str, Any]:
        """What a layer has to store: the variables without transient collections (C2).

        They are abstract, except for a module that cannot be traced.
        """
        return self._found.stored

    @property
    def eventual(self) -> dict[str, Any]:
        """What is stored in the end: with state that only an application makes (C2)."""
        return self._found.eventual

    @property
    def inference_adds(self) -> bool:
        """Whether an init at inference makes variables that one in training does not (B2)."""
        return self._found.inference_adds

    @property
    def traceable(self) -> bool:
        """Whether JAX can trace the module, so that it can be compiled (A6)."""
        return self._found.evaluate is jax.eval_shape

    def _find(self, evaluate: Evaluate) -> _Found:
        trained, inferred = (self._init(evaluate, training) for training in (True, False))
        variables = merge_missing(trained, inferred)
        eventual, moved = variables, set[str]()
        for training in (True, False):
            updates, moving = self._moving(evaluate, variables, training)
            eventual, moved = merge_missing(eventual, updates), moved | moving
        stored, eventual = (
            {name: part for name, part in tree.items() if name not in moved}
            for tree in (variables, eventual)
        )
        adds = bool(structure_of(variables) != structure_of(trained))
        return _Found(stored, eventual, adds, evaluate)

    def _init(self, evaluate: Evaluate, training: bool) -> dict[str, Any]:
        # A single key serves every stream: Flax falls back to `params`.
        init = partial(self.raw.init, training=training)
        variables: dict[str, Any] = evaluate(init, {"params": jax.random.key(0)})
        return {n: tree for n, tree in variables.items() if n not in self.transient_names}

    def _moving(
        self, evaluate: Evaluate, variables: Variables, training: bool
    ) -> tuple[dict[str, Any], set[str]]:
        once = self._updates(evaluate, variables, training)
        if all(structure_of(variables.get(name)) == structure_of(once[name]) for name in once):
            return once, set()
        twice = self._updates(evaluate, {**variables, **once}, training)
        moved = {n for n in twice if structure_of(once.get(n)) != structure_of(twice[n])}
        return once, moved

    def _updates(
        self,
        evaluate: Evaluate,
        variables: Variables,
        training: bool,
        denied: frozenset[str] = frozenset(),
    ) -> dict[str, Any]:
        run = partial(self.raw.apply, training=training, denied=denied | {"params"})
        rngs = {"params": jax.random.key(0)}
        _, updates = evaluate(
            lambda v, r, a: arrays_only(run(v, r, a)), dict(variables), rngs, self.raw.arrays
        )
        return {n: tree for n, tree in updates.items() if n not in self.transient_names}

    # Roles.

    @property
    def state_collections(self) -> frozenset[str]:
        """Names of the collections of state (C2)."""
        return frozenset(self.eventual) - self.raw.trainable

    @cached_property
    def denied(self) -> frozenset[str]:
        """State that the module leaves alone at inference if it may not change it (C3)."""
        state = self.state_collections
        if self._bears(state):
            return state
        each = frozenset(name for name in state if self._bears(frozenset({name})))
        return each if self._bears(each) else frozenset()

    def denied_in(self, *, training: bool) -> frozenset[str]:
        """Returns all that a call may not change in a mode: `params`, and what is `denied` (C3)."""
        return frozenset({"params"}) | (frozenset() if training else self.denied)

    def _bears(self, denied: frozenset[str]) -> bool:
        try:
            self._updates(self._found.evaluate, self.stored, False, denied)
        except Exception:  # a module may insist in any way; a real fault comes again
            return False
        return True

    def needs_rng(self, *, training: bool) -> bool:
        """Tells whether the module draws random numbers in a mode (R1)."""
        return bool(self.drawn_streams(training=training))

    @cached_property
    def _drawn(self) -> dict[bool, frozenset[str]]:
        return {}

    def drawn_streams(self, *, training: bool) -> frozenset[str]:
        """Returns the streams that a mode draws from (R1), whatever the other mode refuses."""
        if training not in self._drawn:
            evaluate = self._found.evaluate
            self._drawn[training] = self.raw.drawn_streams(evaluate, self.stored, training=training)
        return self._drawn[training]

    @cached_property
    def init_streams(self) -> frozenset[str]:
        """The streams whose keys init gets (R1)."""
        return self.raw.init_streams(self._found.evaluate)

    @cached_property
    def _training_call(self) -> tuple[Any, Variables]:
        return self._abstract_call(training=True)

    def _abstract_call(self, *, training: bool) -> tuple[Any, Variables]:
        seen = []

        def run(variables: Variables, rngs: Any, arrays: list[Any]) -> Any:
            denied = frozenset({"params"})
            result = self.raw.apply(variables, rngs, arrays, training=training, denied=denied)
            seen.append(jax.tree_util.tree_map(is_array, result[0]))
            return arrays_only(result)

        rngs = {"params": jax.random.key(0)}
        _, updates = self._found.evaluate(run, self.stored, rngs, self.raw.arrays)
        sown = {n: tree for n, tree in updates.items() if n not in self.eventual and tree}
        return seen[-1], sown

    @property
    def array_outputs(self) -> Any:
        """The outputs of a call in training, with whether it is an array for each leaf."""
        return self._training_call[0]

    @property
    def gives_arrays(self) -> bool:
        """Whether all leaves of the output are arrays."""
        return all(jax.tree_util.tree_leaves(self.array_outputs))

    @property
    def sows(self) -> tuple[str, ...]:
        """Names of the transient collections that a call in training fills (C7)."""
        return tuple(sorted(self._training_call[1]))

    def sows_alike(self, names: Collection[str]) -> bool:
        """Tells whether a call sows the same into some transient collections in both modes."""
        calls = [self._training_call, self._abstract_call(training=False)] if names else []
        trees = [{name: sown.get(name) for name in names} for _, sown in calls]
        return all(structure_of(tree) == structure_of(trees[0]) for tree in trees)

    # What the module takes and refuses.

    @property
    def widened_inputs(self) -> tuple[Any, ...]:
        """The inputs, arrays of them twice as wide in their last dimension but the batch."""

        def widen(leaf: Any) -> Any:
            wide = is_array(leaf) and np.ndim(leaf) > 1
            return np.concatenate([leaf, leaf], axis=-1) if wide else leaf

        widened: tuple[Any, ...] = jax.tree_util.tree_map(widen, self.raw.inputs)
        return widened

    @cached_property
    def refuses_shapes(self) -> bool:
        """Whether raw Flax fails on `widened_inputs`."""
        return not self.accepts(replace(self.raw, inputs=self.widened_inputs))

    @cached_property
    def takes_any_batch(self) -> bool:
        """Whether the module takes a batch of another size than it was built with."""

        def double(leaf: Any) -> Any:
            if not is_array(leaf):
                return leaf
            more = leaf if len(leaf) else np.ones((2, *leaf.shape[1:]), leaf.dtype)
            return np.concatenate([leaf, more])

        inputs, arguments = jax.tree_util.tree_map(
            double, (self.raw.inputs, dict(self.raw.arguments))
        )
        return self.accepts(replace(self.raw, inputs=inputs, arguments=arguments))

    def accepts(self, raw: RawCall, *, variables: Variables | None = None) -> bool:
        """Tells whether raw Flax runs another call with the stored variables, in both modes.

        Args:
            raw: The call.
            variables: Other variables.

        Returns:
            True if it runs, and state keeps its form. What fails outside of the module is no
            refusal, and is raised.
        """
        given = dict(self.stored if variables is None else variables)
        other = Roles(raw, self.transient_names)
        try:
            for training in (True, False):
                updates = other._updates(self._found.evaluate, given, training)
                if structure_of(common_part(updates, given)) != structure_of(
                    common_part(given, updates)
                ):
                    return False
        except Exception as error:  # the code of a module may refuse in any way
            if not is_of_module(error):
                raise
            return False
        return True

    def output_shapes(self, raw: RawCall) -> tuple[tuple[int, ...], ...] | None:
        """Returns the shapes of the arrays that another call gives, with variables of its own.

        Args:
            raw: The call.

        Returns:
            A shape for each array of the outputs at inference; None where raw Flax refuses it.
        """
        other = Roles(raw, self.transient_names)
        run = partial(raw.apply, training=False, denied=frozenset({"params"}))
        rngs = {"params": jax.random.key(0)}
        try:
            outputs = other._found.evaluate(
                lambda v, a: arrays_of(run(v, rngs, a)[0]), other.stored, raw.arrays
            )
        except Exception as error:  # the code of a module may refuse in any way
            if not is_of_module(error):
                raise
            return None
        return tuple(tuple(leaf.shape) for leaf in jax.tree_util.tree_leaves(outputs))

    def bears_dtype(self, dtype: str) -> bool:
        """Tells whether raw Flax runs the module with its params and inputs cast (A7).

        Args:
            dtype: What floating ones are cast to.
        """
        args, kwargs = self.raw.merge(cast_floats(self.raw.arrays, dtype))
        cast = replace(self.raw, inputs=args, arguments=kwargs)
        variables = cast_params(self.stored, self.raw.trainable, dtype)
        return self.accepts(cast, variables=variables) and (
            # A processor without products of float16 refuses some of JAX's own functions.
            dtype != "float16" or not self.traceable or _is_lowered(cast, variables)
        )

    def lacks_nothing(self, given: Variables) -> bool:
        """Tells whether a call with given variables needs nothing that init would make (B4).

        Args:
            given: Collections of variables.
        """
        lacking = set(paths_of(self.stored)) - set(paths_of(given))
        try:
            for training in (True, False):
                made = self._updates(self._found.evaluate, given, training)
                if lacking & set(paths_of(made)):
                    return False  # it makes by itself what init makes
        except Exception as error:  # the code of a module may refuse in any way
            if not is_of_module(error):
                raise
            return False
        return True


def arrays_of_both_modes(raw: RawCall, variables: Variables, arrays: list[Any]) -> list[Any]:
    """Returns the arrays that a call gives in training and at inference, by one key for all.

    Args:
        raw: The call.
        variables: Params and state.
        arrays: The arrays of the arguments.
    """
    rngs, denied = {"params": jax.random.key(0)}, frozenset({"params"})
    return [
        arrays_only(raw.apply(variables, rngs, arrays, training=training, denied=denied))
        for training in (True, False)
    ]


def _is_lowered(raw: RawCall, variables: Variables) -> bool:
    try:
        jax.jit(partial(arrays_of_both_modes, raw)).lower(dict(variables), raw.arrays)
    except (NotImplementedError, ValueError):
        return False
    return True
