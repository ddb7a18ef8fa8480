"""What a module is, by abstract evaluation: variables, roles, streams (B1, C2, C3, R1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from flaxlayer_core.planning import Planner
from flaxlayer_core.plans import Discovery, Probe
from flaxlayer_core.searching import Search

__all__ = ["discover"]


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
    search = Search(Planner(probe, tuple(arrays), abstract), prepare)
    if variables is not None:
        return search.run_stored(variables)
    found = search.run() if applied else search.run_tolerant()
    return replace(found, traced_init=search.traced_init)
