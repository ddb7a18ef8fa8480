"""A linen module by raw Flax, as programs run it: they hold this source (T1)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax

from flaxlayer_testing.render.raw_trees import cast, compiled, split

__all__ = ["RawLinen"]


class RawLinen:
    """A linen module by raw Flax.

    Args:
        module: The module.
        denied: Collections that it may not change at inference, beside its params.
    """

    def __init__(self, module: Any, denied: Any = ()) -> None:
        self.module, self.denied = module, denied

    def init(
        self,
        keys: Any,
        inputs: Any,
        arguments: Any,
        filled: Any = None,
        method: str = "__call__",
    ) -> dict[str, Any]:
        """Returns the initial variables."""
        kwargs = {**arguments, **self.keys_of(filled, keys)}
        return dict(self.module.init(keys, *inputs, method=method, **kwargs))

    def apply(
        self,
        variables: Any,
        inputs: Any,
        arguments: Any,
        keys: Any,
        training: bool,
        filled: Any = None,
        dtype: Any = None,
        method: str = "__call__",
    ) -> Any:
        """Returns the outputs, and every collection that the module may change."""
        arrays, merge = split((inputs, arguments))
        denied = ["params", *(() if training else self.denied)]

        def run(variables: Any, keys: Any, arrays: Any) -> Any:
            args, kwargs = merge(cast(arrays, dtype))
            kwargs = {**kwargs, **self.keys_of(filled, keys)}
            params = {"params": cast(variables.get("params", {}), dtype)}
            variables = {**variables, **{n: t for n, t in params.items() if n in variables}}
            mutable = nn.DenyList(tuple(denied))
            return self.module.apply(
                variables, *args, method=method, rngs=keys, mutable=mutable, **kwargs
            )

        return compiled(run)(dict(variables), keys, arrays)

    def keys_of(self, filled: Any, keys: Any) -> dict[str, Any]:
        """Returns the arguments that a layer fills with keys, by their names."""
        spare = jax.random.key(0)
        return {name: keys.get(stream, spare) for name, stream in (filled or {}).items()}

    def variables_of(self, bound: Any) -> dict[str, Any]:
        """Returns the variables of a module that has them."""
        return dict(bound.unbind()[1])
