"""Equal submodules of linen that are called alike, evaluated once where only forms count (B6).

A deep network is one block many times. What it returns has the same shapes and dtypes each time,
and that is all that an abstract evaluation asks: the first block is traced, the others are not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.core.scope import Scope

from flaxlayer_core.compat.private_linen import interceptor_count, watch_params
from flaxlayer_core.modules.call_forms import (
    CallForms,
    OutputForm,
    asks_for_its_place,
    reads_only_fields,
)
from flaxlayer_core.typing import Args, Array, Function, Kwargs, Leaf, PyTree

__all__ = ["merging_repeats"]


@contextlib.contextmanager
def merging_repeats(inputs: Sequence[Array] | None = None) -> Iterator[None]:
    """Opens a context for one abstract evaluation of a linen module.

    In it a call of a submodule that is equal to an earlier one, and called alike, returns arrays of
    the same shapes and dtypes, whose values mean nothing, without running. In an init its params
    are made as ever.

    A call counts as another one unless everything that can change its form is the same: the class,
    the fields, the arguments, the variables' shapes and dtypes, the streams, what may change. One
    that writes anything but params, or that asks where it stands, always runs.

    Args:
        inputs: The arrays of an init, None where the module is applied. What takes the place of
            outputs depends on them: a variable whose value is found from outputs then shows in the
            traced program as one that depends on the inputs.

    Yields:
        Nothing.

    Example:

    ```python
    >>> calls = []
    >>> class Block(nn.Module):
    ...     @nn.compact
    ...     def __call__(self, x):
    ...         calls.append(x.shape)
    ...         return nn.Dense(3)(x)
    >>> x = jnp.ones((2, 3))
    >>> deep = nn.Sequential([Block() for _ in range(8)])
    >>> variables = deep.init(jax.random.key(0), x)
    >>> calls.clear()
    >>> with merging_repeats():
    ...     jax.eval_shape(deep.apply, variables, x).shape, len(calls)
    ((2, 3), 1)

    ```
    """
    if inputs is None:
        with nn.intercept_methods(_Repeats()):
            yield
        return
    source = next((x for x in inputs if not jnp.issubdtype(x.dtype, jax.dtypes.extended)), None)
    if source is None:
        yield
        return
    repeats = _InitRepeats(jnp.any(source != source))
    with watch_params(repeats.make_param), nn.intercept_methods(repeats):
        yield


@dataclass(frozen=True)
class _Param:
    """A param that a call of a submodule made: what the same call of an equal one makes.

    Attributes:
        path: Where it stands below the submodule.
        draws: How many keys its scope had drawn before.
        arguments: Those of `Scope.param`.
    """

    path: tuple[str, ...]
    draws: int
    arguments: tuple[Args, Kwargs]

    def make(self, scope: Scope) -> None:
        """Makes it below another submodule's scope."""
        for name in self.path:
            scope = scope.push(name, reuse=True)
        scope.rng_counters["params"] = self.draws
        args, kwargs = self.arguments
        scope.param(*args, **kwargs)


@dataclass
class _Call:
    """A call of a submodule: its outputs' form, and what it made.

    Attributes:
        scope: The submodule's scope.
        params: The params that it made.
        arrays: How many arrays these are.
        repeats: Whether an equal call may be left out.
        outputs: The form of the outputs.
    """

    scope: Scope
    params: list[_Param] = field(default_factory=list)
    arrays: int = 0
    repeats: bool = True
    outputs: OutputForm | None = None


class _Repeats:
    """An interceptor of methods that remembers the forms of what calls returned."""

    def __init__(self) -> None:
        self._forms = CallForms()
        self._calls: dict[Hashable, _Call] = {}
        self._running: list[_Call] = []
        self._filler: Leaf = False

    def __call__(
        self, call: Function, args: Args, kwargs: Kwargs, context: nn.module.InterceptorContext
    ) -> PyTree:
        module, arguments = context.module, (args, kwargs)
        key = None if context.method_name != "__call__" else self._key(module, arguments)
        if key is None:
            return call(*args, **kwargs)
        scope = _scope_of(module)
        known = self._calls.get(key)
        if known is not None and known.outputs is not None:
            for param in known.params:
                param.make(scope)
            return known.outputs.fill(self._filler)
        made, before = _Call(scope), _count_variables(module)
        self._running.append(made)
        try:
            outputs = call(*args, **kwargs)
        finally:
            self._running.pop()
        # One that has put something into a list among its arguments has others now.
        same = self._forms.of_arguments(arguments) == key[0]
        whole = _count_variables(module) == before + made.arrays
        if known is None:
            made.outputs = OutputForm.of(outputs) if made.repeats and same and whole else None
            self._calls[key] = made
        return outputs

    def _key(
        self, module: nn.Module, arguments: tuple[Args, Kwargs]
    ) -> tuple[Hashable, ...] | None:
        """Returns what decides the form of a call's outputs; None where that is not known."""
        scope = _scope_of(module)
        if scope.parent is None or interceptor_count() != 1 or not self._reaches(scope):
            return None
        if _may_write(module) or asks_for_its_place(type(module)):
            return None
        key = (
            self._forms.of_arguments(arguments),
            self._forms.of_module(module),
            self._forms.of_arguments(module.variables),
            frozenset(scope.rngs),
            repr(scope.mutable),
        )
        return None if any(part is None for part in key) else key

    def _reaches(self, scope: Scope) -> bool:
        """Tells whether what is done in a scope can be done again in another."""
        del scope  # nothing is done in it: the module is applied
        return True


class _InitRepeats(_Repeats):
    """The same for an init, in which calls make params."""

    def __init__(self, filler: Leaf) -> None:
        super().__init__()
        self._filler = filler
        self._root: Scope | None = None

    def _reaches(self, scope: Scope) -> bool:
        # A transform such as scan has scopes of its own, and moves their params out of them.
        self._root = self._root or scope.root
        return scope.root is self._root

    def make_param(self, param: Function, scope: Scope, args: Args, kwargs: Kwargs) -> PyTree:
        """Makes a param, and notes it for all calls that are under way.

        Args:
            param: `Scope.param`.
            scope: Where it is made.
            args: The arguments: name and initialiser come first.
            kwargs: The keyword arguments.
        """
        name, initialiser, *given = args
        if scope.has_variable("params", name):
            return param(scope, *args, **kwargs)
        draws = scope.rng_counters.get("params", 0)
        alone = reads_only_fields(initialiser) and all(
            reads_only_fields(value) for value in (*given, *kwargs.values())
        )
        made = param(scope, *args, **kwargs)
        for call in self._running:
            depth = len(call.scope.path)
            inside = scope.root is self._root and scope.path[:depth] == call.scope.path
            call.repeats &= alone and inside
            call.params.append(_Param(scope.path[depth:], draws, (args, kwargs)))
            call.arrays += len(jax.tree_util.tree_leaves(made))
        return made


def _scope_of(module: nn.Module) -> Scope:
    assert module.scope is not None  # it is being called
    return module.scope


def _count_variables(module: nn.Module) -> int:
    return len(jax.tree_util.tree_leaves(module.variables))


def _may_write(module: nn.Module) -> bool:
    """Tells whether a module has variables that calls may change, or has sown some."""
    return any(tree for name, tree in module.variables.items() if name != "params")
