"""Which variables a call reads or changes, found by tracing it (B4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flaxlayer_core.discovery.module_call import ModuleCall, abstract_keys
from flaxlayer_core.discovery.module_spec import ModePlan
from flaxlayer_core.jaxprs.traced import TracedFunction
from flaxlayer_core.trees.overlays import replace_leaves
from flaxlayer_core.trees.paths import flatten_with_paths
from flaxlayer_core.typing import Array, Path, PyTree, Shaped, Variables

__all__ = ["find_touched"]


def find_touched(
    call: ModuleCall,
    plan: ModePlan,
    variables: Variables,
    paths: Iterable[Path],
    arrays: Sequence[Shaped],
    *,
    apart: frozenset[str] = frozenset(),
) -> set[Path]:
    """Finds those of some variables that the results of a call depend on.

    Args:
        call: The module and its call.
        plan: How it is applied.
        variables: All variables that the call gets, abstract.
        paths: The variables in question.
        arrays: The abstract arrays of the call.
        apart: Collections whose changes do not count: they record calls.

    Returns:
        The paths that the outputs or the changed collections need. A variable that the call
        returns as it got it is not one of them; one that it replaces is.

    Raises:
        Exception: What the module raises when it is applied to such variables.

    Example:

    ```python
    >>> import flax.linen as nn, jax, jax.numpy as jnp
    >>> from flaxlayer_core import LinenModule, MethodSignature, partition
    >>> module, x = LinenModule(nn.Dense(2)), jax.ShapeDtypeStruct((1, 3), jnp.float32)
    >>> method = MethodSignature.from_method(module, None)
    >>> arrays, structure = partition((x,), {})
    >>> params = {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2), "other": jnp.ones(5)}
    >>> paths = [("params", "kernel"), ("params", "other")]
    >>> plan = ModePlan(False, (), ("params",), None, {})
    >>> asked = ModuleCall(module, method, method, structure)
    >>> find_touched(asked, plan, {"params": params}, paths, arrays)
    {('params', 'kernel')}

    ```
    """
    asked, leaves = list(paths), dict(flatten_with_paths(dict(variables))[0])
    replaced: set[Path] = set()

    def apply(arrays: Sequence[Array], rngs: PyTree, variables: PyTree, *values: object) -> PyTree:
        inputs = dict(zip(asked, values, strict=True))
        tree = replace_leaves(variables, inputs)
        outputs, updates = call.apply(
            tree,
            rngs,
            arrays,
            training=plan.training,
            mutable=plan.mutable,
            optional_keys=plan.optional_keys,
        )
        changed = {name: tree for name, tree in updates.items() if name not in apart}
        pairs = [
            (path, leaf)
            for path, leaf in flatten_with_paths(changed)[0]
            if leaf is not inputs.get(path)
        ]
        replaced.update(path for path, _ in pairs)
        return outputs, [leaf for _, leaf in pairs]

    keys = abstract_keys(plan.streams)
    values = [leaves[path] for path in asked]
    traced = TracedFunction(apply, list(arrays), keys, dict(variables), *values)
    return {path for i, path in enumerate(asked) if path in replaced or traced.needs(3 + i)}
