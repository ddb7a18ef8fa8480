"""One call of a raw linen module, by `init` and `apply`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax

from flaxlayer_testing.oracle.call import (
    Evaluate,
    RawCall,
    Rngs,
    Variables,
    arrays_of,
    running_module,
)
from flaxlayer_testing.oracle.dependence import needed_inputs
from flaxlayer_testing.oracle.draws import streams_of, watched_streams
from flaxlayer_testing.oracle.named_axes import inside_axes

__all__ = ["LinenCall"]

_PARAMS = frozenset({"params"})


class LinenCall(RawCall):
    """An unbound linen module with the arguments of one call, run by raw Flax."""

    base = nn.Module
    settings = frozenset()
    intercepted = True
    takes_unread = True

    @property
    def target(self) -> Any:
        """The module itself."""
        return self.module

    @property
    def holds_values(self) -> bool:
        """Whether the module itself has the initial values: no."""
        return False

    @property
    def trainable(self) -> frozenset[str]:
        """Names of the collections that are trained (C2): `params`."""
        return frozenset({"params"})

    def init_streams(self, evaluate: Evaluate) -> frozenset[str]:
        """Returns `params`, and what init draws from beside it (R1)."""
        init = partial(self.init, training=True)
        return watched_streams(partial(evaluate, init), first=_PARAMS, curious=True) | _PARAMS

    def drawn_streams(
        self, evaluate: Evaluate, variables: Variables, *, training: bool
    ) -> frozenset[str]:
        """Returns the streams that a call asks for, or depends on if a layer fills them (R1)."""

        def run(rngs: Rngs, given: Variables, arrays: list[Any]) -> list[Any]:
            result = self.apply(given, rngs, arrays, training=training, denied=_PARAMS)
            return arrays_of(result)

        def call(rngs: Rngs) -> Any:
            return evaluate(run, dict(rngs), dict(variables), self.arrays)

        if self.listed is not None:
            return streams_of(call, self.listed)
        supplied = self.supplied_streams(training=training)
        drawn = watched_streams(call, first=supplied, curious=training)
        if not supplied or evaluate is not jax.eval_shape:
            return drawn | supplied
        keys = dict.fromkeys(sorted(drawn | supplied), jax.random.key(0))
        traced = jax.make_jaxpr(run)(keys, dict(variables), self.arrays)
        # The leaves of a dict stand in the order of its names, and come first.
        needed = zip(keys, needed_inputs(traced.jaxpr), strict=False)
        # A lifted transform draws from all that it hands on.
        return (drawn - supplied) | {name for name, used in needed if used}

    def unbind(self, bound: Any) -> tuple[Any, dict[str, Any]]:
        """Takes a bound module apart, as linen does."""
        module, variables = bound.unbind()
        return module, dict(variables)

    @inside_axes
    def init(self, rngs: Rngs, *, training: bool) -> dict[str, Any]:
        """Returns the variables of `Module.init` in a mode, by the initialising method."""
        method = self.init_method
        args, kwargs = self.complete(self.arrays, method, rngs, training)
        with running_module():
            variables: Mapping[str, Any] = self.module.init(
                dict(rngs), *args, method=method, **kwargs
            )
        return dict(variables)

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
        """Returns the result of `Module.apply`."""
        args, kwargs = self.complete(arrays, self.method, rngs, training)
        mutable = nn.DenyList(tuple(sorted(denied)))
        with running_module():
            outputs, updates = self.module.apply(
                dict(variables),
                *args,
                method=self.method,
                rngs=dict(rngs),
                mutable=mutable,
                **kwargs,
            )
        return outputs, dict(updates)
