"""Inputs of another form than those of the build, explained where a call fails on them (A1)."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax.errors import FlaxError

from flaxlayer.explained_errors import JAX_ERRORS
from flaxlayer.inputs import BuildInputs, array_specs, by_place
from flaxlayer.typing import Array
from flaxlayer_core import (
    ArgumentStructure,
    ArraySpec,
    CallArgumentError,
    FlaxLayerError,
    MethodSignature,
)

__all__ = ["explain_misfit"]

# What the code of a module raises on inputs of a form that it was not made for.
_ON_MISFITS = (FlaxError, AssertionError, AttributeError, LookupError, TypeError, ValueError)


def explain_misfit(
    error: Exception,
    built: BuildInputs | None,
    arrays: Sequence[Array],
    structure: ArgumentStructure,
    *,
    method: MethodSignature,
    title: str,
) -> CallArgumentError | None:
    """Returns the error for a call that failed on inputs of another form, None if they have none.

    Args:
        error: What the call raised.
        built: The inputs that the layer was built with.
        arrays: The arrays of the call.
        structure: The static side of its arguments.
        method: The method that was called, whose arguments have names.
        title: The layer and its method, as messages name them.
    """
    if not isinstance(error, _ON_MISFITS) or isinstance(error, (FlaxLayerError, *JAX_ERRORS)):
        return None
    if built is None or not built.specs:
        return None
    arrays, structure = structure.fix_numbers(arrays)
    expected = by_place(built.specs, built.specs, built.structure, method)
    found = by_place(array_specs(arrays), arrays, structure, method)
    if expected.keys() == found.keys() and all(
        _accepts(expected[place], spec) for place, spec in found.items()
    ):
        return None
    plain = not any("[" in place or "." in place for place in (*expected, *found))
    alone = plain and len(expected) == len(found) == 1 and expected.keys() == found.keys()
    misfit = CallArgumentError(
        f"{title} failed on inputs of another form than it was built with: "
        f"{type(error).__name__}: {error}",
        expected=_describe(expected, named=not alone),
        found=_describe(found, named=not alone) or "no arrays",
        fix="Call it with inputs of the form it was built with, or make a new layer.",
        law="A1",
    )
    misfit.__cause__ = error
    return misfit


_KINDS = (np.floating, np.integer, np.bool_, np.complexfloating, jax.dtypes.prng_key)


def _same_kind(spec: ArraySpec, other: ArraySpec) -> bool:
    """Tells whether both are floating, integers, booleans, complex, or keys."""
    return all(jnp.issubdtype(spec.dtype, k) == jnp.issubdtype(other.dtype, k) for k in _KINDS)


def _accepts(spec: ArraySpec, other: ArraySpec) -> bool:
    if not _same_kind(spec, other):
        return False
    # Another batch size is no other form.
    batch = (None, *other.shape[1:]) if other.shape else other.shape
    return spec.accepts(batch) or spec.accepts(other.shape)


def _describe(inputs: dict[str, ArraySpec], *, named: bool) -> str:
    return ", ".join(f"{place}: {spec}" if named else str(spec) for place, spec in inputs.items())
