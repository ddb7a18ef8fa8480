"""State that a module makes only when it is applied, and never at init (C2).

A layer stores fixed variables, while such a module has fewer before the application that makes its
state. So a place is kept for them from the beginning, with a flag in each such collection that says
whether they are made; the module runs without them as long as they are not.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx

from flaxlayer_core.compat.private_linen import StreamRecord, in_filter
from flaxlayer_core.errors import BuildModuleError, MatchVariablesError
from flaxlayer_core.modules.protocol import NO_MODES, FlaxModule, Modes, ModuleFacts
from flaxlayer_core.trees.outputs import wrap_statics
from flaxlayer_core.trees.overlays import fill_missing, subtract_tree
from flaxlayer_core.trees.variable_layout import placeholder
from flaxlayer_core.typing import Args, Kwargs, Method, Mutable, PyTree, Rngs, Variables

__all__ = ["MADE", "LazyStateModule"]

MADE = "__made__"

Result = TypeVar("Result")


class LazyStateModule:
    """A module whose late state has a place from init on, behind core's module protocol.

    Args:
        flax_module: The module that makes state when it is applied.
        late: The variables that it makes then, by collection: a tree of `ShapeDtypeStruct`.

    Example:

    ```python
    >>> import flax.linen as nn
    >>> from flaxlayer_core.modules.linen import LinenModule
    >>> class Counts(nn.Module):
    ...     @nn.compact
    ...     def __call__(self, x):
    ...         if not self.is_initializing():
    ...             self.variable("calls", "n", lambda: jnp.zeros((), jnp.int32)).value += 1
    ...         return x
    >>> late = {"calls": {"n": jax.ShapeDtypeStruct((), jnp.int32)}}
    >>> module = LazyStateModule(LinenModule(Counts()), late)
    >>> stored = module.init({}, (1.0,), {}, method="__call__")
    >>> module.raw_variables(stored)
    {}
    >>> apply = {"method": "__call__", "rngs": {}, "mutable": True}
    >>> _, stored = module.apply(stored, (1.0,), {}, **apply)
    >>> _, stored = module.apply(stored, (1.0,), {}, **apply)
    >>> int(module.raw_variables(stored)["calls"]["n"])
    2

    ```
    """

    def __init__(self, flax_module: FlaxModule, late: Mapping[str, Mapping[str, object]]) -> None:
        self._inner = flax_module
        self._late = {name: dict(tree) for name, tree in sorted(late.items())}

    @property
    def facts(self) -> ModuleFacts:
        """What the user's module is: its late state changes nothing in that."""
        return self._inner.facts

    def record_streams(self) -> contextlib.AbstractContextManager[StreamRecord]:
        """Opens a context that records which rng streams the module asks for (R1)."""
        return self._inner.record_streams()

    def call_context(self) -> tuple[object, ...] | None:
        """Returns the ambient settings that change a call, None if they cannot be a key (A6)."""
        return self._inner.call_context()

    def extended_by(self, run: Callable[[], Result]) -> tuple[Result, LazyStateModule]:
        """Returns the result of calls, and the module that runs on the state that they made."""
        result, inner = self._inner.extended_by(run)
        return result, self if inner is self._inner else LazyStateModule(inner, self._late)

    # Variables: as they are stored, and as the module knows them.

    def raw_variables(self, stored: Variables) -> dict[str, PyTree]:
        """Returns the tree that raw `apply` takes: without what is not made yet (W2)."""
        made = {name for name in self._late if bool(stored[name][MADE])}
        return self._inner.raw_variables(self._visible(stored, made))

    def stored_variables(self, raw: Variables) -> dict[str, PyTree]:
        """Returns a tree of the user's with the flags of the late state that it holds (B4, W2)."""
        tree = self._inner.stored_variables(raw)
        for name, late in self._late.items():
            found = tree.get(name)
            if not isinstance(found, Mapping) or subtract_tree(late, found) == late:
                continue
            if missing := subtract_tree(late, found):
                title = f"Module {self.facts.class_name}"
                raise MatchVariablesError(
                    f"{title} does not take a part of its late state {name!r}.",
                    expected=f"all that an application makes in {name!r}, or nothing",
                    found=f"nothing for {', '.join(missing)}",
                    fix="Give the whole collection.",
                    law="C2",
                )
            tree[name] = {**found, MADE: jnp.asarray(True)}
        return tree

    def bind(self, variables: Variables) -> nn.Module | nnx.Module:
        """Returns the module with variables as raw `apply` takes them."""
        return self._inner.bind(variables)

    def _visible(self, stored: Variables, made: set[str]) -> dict[str, PyTree]:
        tree = dict(stored)
        for name, late in self._late.items():
            hidden: Variables = {MADE: None}
            part = subtract_tree(stored[name], hidden if name in made else {**late, **hidden})
            tree[name] = part
            if not part:
                del tree[name]
        return tree

    # Calls.

    def init(
        self,
        rngs: Rngs,
        args: Args,
        kwargs: Kwargs,
        *,
        method: Method,
        modes: Modes = NO_MODES,
    ) -> dict[str, PyTree]:
        """Returns initial variables, with zeros in the places of late state."""
        variables = self._inner.init(rngs, args, kwargs, method=method, modes=modes)
        places = jax.tree_util.tree_map(placeholder, self._late)
        for tree in places.values():
            tree[MADE] = jnp.zeros((), bool)
        return fill_missing(variables, places)

    def apply(
        self,
        variables: Variables,
        args: Args,
        kwargs: Kwargs,
        *,
        method: Method,
        rngs: Rngs,
        mutable: Mutable,
        modes: Modes = NO_MODES,
    ) -> tuple[PyTree, dict[str, PyTree]]:
        """Returns the outputs of a call and the collections that it may have changed."""
        flags = [variables[name][MADE] for name in self._late]

        def run(made: set[str]) -> tuple[PyTree, dict[str, PyTree]]:
            outputs, updates = self._inner.apply(
                self._visible(variables, made),
                args,
                kwargs,
                method=method,
                rngs=rngs,
                mutable=mutable,
                modes=modes,
            )
            return wrap_statics(outputs), self._completed(updates, variables, mutable)

        if not any(isinstance(flag, jax.core.Tracer) for flag in flags):
            return run({name for name, flag in zip(self._late, flags, strict=True) if bool(flag)})
        return self._switch(flags, run)

    def _completed(
        self, updates: dict[str, PyTree], variables: Variables, mutable: Mutable
    ) -> dict[str, PyTree]:
        for name, late in self._late.items():
            if not in_filter(mutable, name):
                continue
            found = updates.get(name, {})
            missing = subtract_tree(late, found)
            if missing and missing != late:
                raise self._partly_made(name, missing)
            made = variables[name][MADE] if missing else jnp.ones((), bool)
            updates[name] = fill_missing({**found, MADE: made}, variables[name])
        return updates

    def _switch(
        self, flags: Sequence[object], run: Callable[[set[str]], object]
    ) -> tuple[PyTree, dict[str, PyTree]]:
        subsets = [
            {name for name, made in zip(self._late, bits, strict=True) if made}
            for bits in itertools.product((False, True), repeat=len(flags))
        ]
        ended: list[set[str]] = []

        def branch(made: set[str]) -> Callable[[], PyTree]:
            def call() -> object:
                result = run(made)
                ended.append(made)
                return result

            return call

        index: jax.Array | int = 0
        for flag in flags:
            index = 2 * index + jnp.asarray(flag, jnp.int32)
        try:
            result: tuple[PyTree, dict[str, PyTree]] = jax.lax.switch(
                index, [*map(branch, subsets)]
            )
        except TypeError as error:
            if len(ended) < len(subsets):
                raise  # the module's own
            raise BuildModuleError(
                f"Module {self.facts.class_name} returns something else once its state is made.",
                expected="outputs of one structure, shape and dtype",
                found=str(error),
                fix="Return the same form of outputs in every call.",
                law="C2",
            ) from error
        return result

    def _partly_made(self, name: str, missing: Mapping[str, object]) -> BuildModuleError:
        return BuildModuleError(
            f"Module {self.facts.class_name} makes only a part of {name!r} in this call.",
            expected="state that an application makes at once",
            found=f"nothing for {', '.join(missing)}",
            fix="Create these variables at init, or put them into a collection of their own.",
            law="C2",
        )
