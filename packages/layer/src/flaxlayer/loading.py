"""Values for a layer's variables from trees of other making (W2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import keras
from flaxlayer_core import CollectionPolicy, fit_variables, normalize_variables

from flaxlayer.weights import FlaxWeights

__all__ = ["checked_assignments"]


def checked_assignments(
    weights: FlaxWeights, tree: Any, policy: CollectionPolicy, *, where: str
) -> list[tuple[keras.Variable, Any]]:
    """Pairs each variable with the value that a tree has for it, all checked (C4, W2).

    Args:
        weights: The variables of the layer.
        tree: Collections of arrays, or a `TrainState`; parts may be missing.
        policy: Roles by name; transient collections are left out.
        where: What to name in an error.

    Returns:
        Assignments that cannot fail for the shape.

    Raises:
        MatchVariablesError: If a path is unknown or a shape differs.
    """
    expected = weights.layout.unflatten(weights.values())
    given = normalize_variables(_collections(tree), where=where)
    fitted = fit_variables(expected, given, ignored=frozenset(policy.transient), where=where)
    specs = {spec.path: spec for spec in weights.layout.specs}
    variables = weights.by_path()
    # Copied: Keras's trainer donates what a variable holds, and the caller's arrays live on.
    return [(variables[p], jnp.array(specs[p].store(leaf))) for p, leaf in fitted.items()]


def _collections(tree: Any) -> Any:
    # A TrainState keeps `params` as a field of its own, and state as further fields.
    if isinstance(tree, Mapping) or not hasattr(tree, "params"):
        return tree
    fields = getattr(tree, "__dataclass_fields__", {})
    known = {"params": tree.params}
    for name in ("batch_stats", *fields):
        value = getattr(tree, name, None)
        if name not in ("params", "opt_state") and isinstance(value, Mapping):
            known[name] = value
    inner = known["params"]
    return inner if isinstance(inner, Mapping) and "params" in inner else known
