"""One call of a raw nnx module, by plain NNX: nothing of a layer is asked."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from flax.errors import ModifyScopeVariableError

from flaxlayer_testing.oracle.call import (
    Evaluate,
    RawCall,
    Rngs,
    Variables,
    arrays_of,
    running_module,
)
from flaxlayer_testing.oracle.dependence import needed_inputs
from flaxlayer_testing.oracle.named_axes import inside_axes

__all__ = ["NnxCall"]

_INIT = ("default", "dropout", "params")

# Stands for the key of a stream that got none, so that it matters if the module draws from it.
_NO_KEY = 2**31 - 1


def _value(variable: Any) -> Any:
    return variable.get_value() if hasattr(variable, "get_value") else variable.value


def _copy(leaf: Any) -> Any:
    key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.array(jax.random.key_data(leaf) if key else leaf)


def _collection(leaf: Any) -> str:
    if not isinstance(leaf, nnx.Variable):
        return "arrays"
    try:
        return str(nnx.variable_name_from_type(type(leaf)))
    except ValueError:
        return type(leaf).__name__


def _variables(module: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    # Paths as the attributes are, for setting; a path in a dict may be a tuple.
    for path, leaf in nnx.to_flat_state(nnx.state(module)):
        if not isinstance(leaf, nnx.RngState):
            yield tuple(path), leaf


def _streams(module: Any) -> list[Any]:
    nodes = (node for _, node in nnx.iter_graph(module))
    return [node for node in nodes if isinstance(node, nnx.RngStream)]


def _names(path: tuple[Any, ...]) -> list[str]:
    return [str(n) for part in path for n in (part if isinstance(part, tuple) else (part,))]


def _put(tree: dict[str, Any], names: list[str], value: Any) -> None:
    for name in names[:-1]:
        tree = tree.setdefault(name, {})
    tree[names[-1]] = value


@dataclass(frozen=True, eq=False)
class NnxCall(RawCall):
    """An nnx module with the arguments of one call, run by plain NNX.

    The module is cloned for a call, its variables are set, `train()` or `eval()` and `nnx.reseed`
    are called on it, and what its variables hold afterwards are the updates.

    Attributes:
        module: An nnx module, or a function of `rngs` that makes one.
    """

    base = nnx.Module
    settings = frozenset({"set_view"})
    intercepted = False
    takes_unread = False

    # What calls have made: the path and the type of a variable by its collection and names.
    _made: dict[tuple[str, ...], tuple[tuple[Any, ...], type]] = field(
        default_factory=dict, init=False, repr=False
    )

    @cached_property
    def target(self) -> Any:
        """The module itself, or one that was made like it."""
        if isinstance(self.module, nnx.Module):
            return self.module
        with jax.ensure_compile_time_eval():  # the first to ask may be a trace
            return self._make({name: jax.random.key(0) for name in _INIT})

    @property
    def holds_values(self) -> bool:
        """Whether the module is an object with initial values of its own, not what makes one."""
        return isinstance(self.module, nnx.Module)

    @property
    def trainable(self) -> frozenset[str]:
        """Collections of `nnx.Param` and of what derives from it (C2)."""
        kinds = {_collection(leaf): type(leaf) for _, leaf in _variables(self.target)}
        params = {name for name, kind in kinds.items() if issubclass(kind, nnx.Param)}
        return frozenset(params | {"params"})

    def _make(self, rngs: Mapping[str, Any]) -> Any:
        streams = nnx.Rngs(**rngs)
        try:
            with running_module():
                made = self.module(rngs=streams)
        except TypeError as error:
            if "'rngs'" not in str(error):
                raise
            with running_module():
                made = self.module()
        return _with_tracers_as_data(made)

    def with_ones(self) -> RawCall:
        """Returns this call: what makes a module sees no inputs."""
        return self

    @inside_axes
    def init(self, rngs: Rngs, *, training: bool) -> dict[str, Any]:
        """Returns the variables of the module, or of one that is made with these keys.

        Where only `params` is given it serves all streams; the mode changes nothing.
        """
        del training
        if isinstance(self.module, nnx.Module):
            return self._tree(self.module)
        fallback = rngs.get("params", rngs.get("default"))
        return self._tree(self._make({**dict.fromkeys(_INIT, fallback), **rngs}))

    def _tree(self, module: Any) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for path, leaf in _variables(module):
            names = [_collection(leaf), *_names(path)]
            if isinstance(leaf, nnx.Variable):
                self._made[tuple(names)] = (path, type(leaf))
            _put(tree, names, _value(leaf) if isinstance(leaf, nnx.Variable) else leaf)
        return tree

    @inside_axes
    def apply(
        self,
        variables: Variables,
        rngs: Rngs,
        arrays: list[Any],
        *,
        training: bool,
        denied: frozenset[str],
    ) -> tuple[Any, dict[str, Any]]:
        """Returns the outputs of a call and what the variables hold afterwards.

        Args:
            variables: Params and state.
            rngs: A key for each stream; `params` serves those that have none.
            arrays: The arrays of the arguments.
            training: The mode.
            denied: Collections that the module may not change; changed params are put aside (C3).

        Returns:
            The outputs and every collection that the module may change.

        Raises:
            ModifyScopeVariableError: If it changes state that it may not change.
        """
        # Op by op, NumPy's arrays would be changed in place, or count as changed.
        variables = jax.tree_util.tree_map(jnp.asarray, dict(variables))
        module, outputs = self._run(variables, rngs, arrays, training=training)
        updates = self._tree(module)
        params = self.trainable
        for name in denied & set(updates):
            if name not in params and _changed(variables.get(name), updates[name]):
                with running_module():
                    raise ModifyScopeVariableError(name, "", "")
        return outputs, {n: t for n, t in updates.items() if n not in denied | params}

    def _run(
        self, variables: Variables, rngs: Rngs, arrays: list[Any], *, training: bool
    ) -> tuple[Any, Any]:
        args, kwargs = self.complete(arrays, self.method, rngs, training)
        module = nnx.clone(self.target)
        self._set(module, variables)
        (module.train if training else module.eval)()
        nnx.reseed(module, policy="match_shape", **self._keys(rngs))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of sow outside of nnx.capture
            with running_module():
                return module, getattr(module, self.method)(*args, **kwargs)

    @cached_property
    def _tags(self) -> tuple[str, ...]:
        return tuple(sorted({stream.tag for stream in _streams(self.target)}))

    @property
    def own_streams(self) -> tuple[str, ...]:
        """The tags of its streams."""
        return self._tags

    def _keys(self, rngs: Rngs) -> dict[str, Any]:
        fallback = rngs.get("params", jax.random.key(_NO_KEY))
        return {tag: rngs.get(tag, fallback) for tag in self._tags}

    def init_streams(self, evaluate: Evaluate) -> frozenset[str]:
        """Returns the streams of the `nnx.Rngs` that a module is made with; an object needs none.

        Args:
            evaluate: Not used: what makes a module is not watched.

        Returns:
            Their names.
        """
        return frozenset(() if self.holds_values else _INIT)

    def drawn_streams(
        self, evaluate: Evaluate, variables: Variables, *, training: bool
    ) -> frozenset[str]:
        """Returns the streams that outputs or updates depend on in a mode (R1).

        Args:
            evaluate: Abstract evaluation; what else it is runs a module that cannot be traced.
            variables: Params and state.
            training: The mode.

        Returns:
            Their tags. Of a module that cannot be traced, those that count a draw.
        """
        supplied = self.supplied_streams(training=training)
        keys = dict.fromkeys(sorted({*self._tags, *supplied}), jax.random.key(0))
        if evaluate is not jax.eval_shape:
            module, _ = self._run(variables, keys, self.arrays, training=training)
            counted = {s.tag for s in _streams(module) if np.any(_value(s.count))}
            return frozenset(counted) | supplied

        def run(keys: dict[str, Any], given: Variables, arrays: list[Any]) -> list[Any]:
            denied = frozenset({"params"})
            return arrays_of(self.apply(given, keys, arrays, training=training, denied=denied))

        traced = jax.make_jaxpr(run)(keys, dict(variables), self.arrays)
        # The leaves of a dict stand in the order of its names, and come first.
        pairs = zip(sorted(keys), needed_inputs(traced.jaxpr), strict=False)
        return frozenset(tag for tag, needed in pairs if needed)

    def contents(self) -> tuple[Any, dict[str, Any]]:
        """Returns what the module holds now: its graph, and copies of all its arrays by path."""
        graph, state = nnx.split(self.target)
        leaves = jax.tree_util.tree_leaves_with_path(state)
        return graph, {jax.tree_util.keystr(path): _copy(leaf) for path, leaf in leaves}

    def unbind(self, bound: Any) -> tuple[Any, dict[str, Any]]:
        """Returns a module that a layer made of its own, and the variables that it holds."""
        return bound, self._tree(bound)

    def _set(self, module: Any, variables: Variables) -> None:
        known = {}
        for path, leaf in _variables(module):
            names = (_collection(leaf), *_names(path))
            known[names] = leaf
            value = jax.tree_util.tree_map(jnp.asarray, _find(variables, names))
            if isinstance(leaf, nnx.Variable):
                setter: Callable[[Any], None] | None = getattr(leaf, "set_value", None)
                setter(value) if setter else setattr(leaf, "value", value)
            else:
                _attach(module, path, value)
        for names, (path, kind) in self._made.items():
            if names not in known and (value := _find(variables, names)) is not None:
                _attach(module, path, kind(value))


def _with_tracers_as_data(module: Any) -> Any:
    # Flax tells arrays by `isinstance` of a union, to which no tracer belongs before Python 3.14.
    for _, node in nnx.iter_graph(module):
        for name, value in list(vars(node).items()) if isinstance(node, nnx.Module) else ():
            if isinstance(value, jax.core.Tracer):
                setattr(node, name, nnx.data(value))
    return module


def _find(tree: Any, names: tuple[str, ...]) -> Any:
    for name in names:
        if not isinstance(tree, Mapping) or name not in tree:
            return None
        tree = tree[name]
    return tree


def _attach(module: Any, path: tuple[Any, ...], value: Any) -> None:
    *above, name = path
    owner = module
    for part in above:
        owner = getattr(owner, part) if _is_attribute(owner, part) else owner[part]
    if _is_attribute(owner, name):
        setattr(owner, name, value)
    else:
        owner[name] = value


def _is_attribute(owner: Any, part: Any) -> bool:
    # An `nnx.List` is a module as well, with numbers for names.
    return isinstance(owner, nnx.Module) and isinstance(part, str)


def _changed(before: Any, after: Any) -> bool:
    left, right = jax.tree_util.tree_leaves(before), jax.tree_util.tree_leaves(after)
    return len(left) != len(right) or any(a is not b for a, b in zip(left, right, strict=True))
