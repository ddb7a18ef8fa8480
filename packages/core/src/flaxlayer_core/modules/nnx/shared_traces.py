"""Equal submodules of nnx that are called alike, traced once in a call that is traced (B6).

A deep network is one block many times. While its call is traced for what it is, not to be run, each
block is a `jax.jit` function of its state: JAX traces the function for the first block, and writes
a call of what it traced for the others. What depends on what is seen through such calls (R1).
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import operator
import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from types import FunctionType
from typing import Any

import jax
from flax import nnx

from flaxlayer_core.ambient import holding
from flaxlayer_core.errors import CallArgumentError
from flaxlayer_core.trees.arguments import ArgumentStructure, partition
from flaxlayer_core.typing import Args, Array, Function, Kwargs, Leaf, PyTree

__all__ = ["merging_repeats", "sharing_traces"]

# Fewer calls of a class do not make up for what one such function costs.
_FEWEST = 3

_CALL = "__call__"

_asked: contextvars.ContextVar[bool] = contextvars.ContextVar("flaxlayer_nnx_merging")
_running = threading.local()
_lock = threading.RLock()


def merging_repeats() -> contextlib.AbstractContextManager[object]:
    """Opens a context whose calls are traced for what they are: `sharing_traces` works in it."""
    return holding(_asked, True)


@contextlib.contextmanager
def sharing_traces(modules: Iterable[nnx.Module]) -> Iterator[None]:
    """Opens a context for one call, in which equal modules share a trace, if that is asked for.

    A call whose arguments or outputs are more than traced arrays, or that changes more than values
    of variables, runs as it is.

    Args:
        modules: The modules inside of the one that is called.

    Yields:
        Nothing.
    """
    counts = Counter(map(type, modules)) if _asked.get(False) else Counter[type]()
    repeated = [cls for cls, count in counts.items() if count >= _FEWEST]
    methods = {owner: method for cls in repeated for owner, method in _calls_of(cls)}
    if not methods:
        yield
        return
    with _lock:
        before = getattr(_running, "sharing", None)
        _running.sharing = _Sharing()
        for owner, method in methods.items():
            setattr(owner, _CALL, _shared(method))
        try:
            yield
        finally:
            for owner, method in methods.items():
                setattr(owner, _CALL, method)
            _running.sharing = before


def _calls_of(cls: type) -> Iterator[tuple[type, FunctionType]]:
    """Yields the class that defines how a module is called, and the method."""
    for owner in cls.__mro__:
        method = vars(owner).get(_CALL)
        if method is not None:
            if isinstance(method, FunctionType):
                yield owner, method
            return


def _shared(method: FunctionType) -> Function:
    @functools.wraps(method)
    def call(module: Any, *args: object, **kwargs: object) -> PyTree:
        sharing: _Sharing | None = getattr(_running, "sharing", None)  # of this thread alone
        if sharing is None or sharing.inside:
            return method(module, *args, **kwargs)
        return sharing.call(method, module, args, kwargs)

    return call


class _NoFormError(Exception):
    """A call returned more than arrays, or changed more than values of variables."""


class _Sharing:
    """The traces of one call."""

    def __init__(self) -> None:
        self.inside = False
        self._parts: dict[Hashable, _Part | None] = {}

    def call(self, method: FunctionType, module: Any, args: Args, kwargs: Kwargs) -> PyTree:
        """Calls a module by what was traced of an equal one."""
        graph, state = nnx.split(module)
        values, states = jax.tree_util.tree_flatten(state)
        asked = _told_apart(args, kwargs)
        if asked is None or not all(isinstance(value, jax.core.Tracer) for value in values):
            return method(module, *args, **kwargs)
        arrays, structure = asked
        key = (method, graph, states, structure, *(leaf.aval for leaf in (*values, *arrays)))
        if key not in self._parts:
            self._parts[key] = _Part(method, graph, states, structure)
        part = self._parts[key]
        if part is not None:
            try:
                self.inside = True
                outputs, values = part(values, arrays)
            except Exception:  # in any way; it comes again
                self._parts[key] = None
            else:
                nnx.update(module, jax.tree_util.tree_unflatten(states, values))
                return outputs
            finally:
                self.inside = False
        return method(module, *args, **kwargs)


def _told_apart(args: Args, kwargs: Kwargs) -> tuple[list[Array], ArgumentStructure] | None:
    try:
        arrays, structure = partition(args, kwargs)
        hash(structure)
    except (CallArgumentError, TypeError):
        return None
    # One array in two places is another call than two arrays: attention asks that.
    traced = all(isinstance(array, jax.core.Tracer) for array in arrays)
    return (arrays, structure) if traced and len(set(map(id, arrays))) == len(arrays) else None


class _Part:
    """A call of one module as a function of its state, traced once.

    Args:
        method: The method that is called.
        graph: The module's graph.
        states: The structure of its state.
        structure: The structure of the arguments.
    """

    def __init__(
        self,
        method: FunctionType,
        graph: nnx.GraphDef[Any],
        states: PyTree,
        structure: ArgumentStructure,
    ) -> None:
        self._method, self._graph = method, graph
        self._states, self._structure = states, structure
        self._run: Callable[..., Any] = jax.jit(self._traced)
        self._changed: Sequence[int] = ()
        self._outputs: PyTree = None

    def __call__(
        self, values: Sequence[Array], arrays: Sequence[Array]
    ) -> tuple[PyTree, list[Array]]:
        """Returns the outputs, and the values of the variables; those unchanged are the same."""
        outputs, changes = self._run(values, arrays)
        after = list(values)
        for index, value in zip(self._changed, changes, strict=True):
            after[index] = value
        return jax.tree_util.tree_unflatten(self._outputs, outputs), after

    def _traced(
        self, values: Sequence[Array], arrays: Sequence[Array]
    ) -> tuple[list[Leaf], list[Array]]:
        module = nnx.merge(self._graph, jax.tree_util.tree_unflatten(self._states, values))
        args, kwargs = self._structure.combine(arrays)
        given, before = jax.tree_util.tree_flatten((args, kwargs))
        leaves, self._outputs = jax.tree_util.tree_flatten(self._method(module, *args, **kwargs))
        left, behind = jax.tree_util.tree_flatten((args, kwargs))
        graph, state = nnx.split(module)
        after = jax.tree_util.tree_leaves(state)
        same = (graph, behind) == (self._graph, before)
        same = same and all(map(operator.is_, given, left))
        if not same or not all(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
            raise _NoFormError
        pairs = enumerate(zip(values, after, strict=True))
        self._changed = [index for index, (old, new) in pairs if old is not new]
        return leaves, [after[index] for index in self._changed]
