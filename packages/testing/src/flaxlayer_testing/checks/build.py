"""Checks of what a layer has after build: paths, dtypes, values, shapes (§3, §6, §7)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from flaxlayer_testing.checks.needs import MODEL, Need
from flaxlayer_testing.checks.registry import Errors, check
from flaxlayer_testing.compare.trees import compare_trees
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.oracle.call import is_array
from flaxlayer_testing.subject.layer import MADE, leaf_paths, variables_of, weight_paths
from flaxlayer_testing.subject.subject import Subject

__all__ = [
    "check_build_dtypes",
    "check_build_paths",
    "check_build_values",
    "check_symbolic_shapes",
    "refuse_other_shapes",
    "refuse_other_types",
]


@check("W1")
def check_build_paths(subject: Subject) -> None:
    """Every variable of the module, and nothing else, is a Keras weight at its path."""
    eventual = leaf_paths(subject.reference.eventual)
    expected = sorted(eventual)
    # A collection that an application makes has a flag that tells whether it is made.
    late = {
        path.partition("/")[0] for path in eventual.keys() - leaf_paths(subject.reference.stored)
    }
    flags = {f"{collection}/{MADE}" for collection in late}
    found = sorted(set(weight_paths(subject.shared_layer())) - flags)
    if found != expected:
        raise KeepLawError(
            "The Keras weights do not stand at the paths of the module's variables.",
            expected=", ".join(expected) or "no weights",
            found=", ".join(found) or "no weights",
            law="W1",
        )


@check("C6", needs=(Need.VARIABLES,))
def check_build_dtypes(subject: Subject) -> None:
    """Every variable is stored in the shape and dtype that the module gave it."""
    refuse_other_types(subject.reference.stored, subject.shared_layer(), "C6")


def refuse_other_types(expected: Any, layer: Any, law: str) -> None:
    """Raises if a weight is stored in another shape or dtype than a tree of variables has.

    Args:
        expected: Collections of arrays or of their descriptions.
        layer: A built layer.
        law: The law that says so.

    Raises:
        KeepLawError: If a weight differs.
    """
    weights = weight_paths(layer)
    for path, leaf in leaf_paths(expected).items():
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.eval_shape(jax.random.key_data, leaf)
        variable = weights[path]
        wanted = f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"
        found = f"{variable.dtype}[{','.join(map(str, variable.shape))}]"
        if found != wanted:
            raise KeepLawError(
                f"The weight at {path!r} is not stored as it should be.",
                expected=wanted,
                found=found,
                law=law,
            )


@check("B2", needs=(Need.VARIABLES,))
def check_build_values(subject: Subject) -> Errors:
    """Initial values are, to the bit, those of `module.init` with the keys of the seed."""
    layer = subject.shared_layer()
    expected, path = subject.expected.variables(layer), "initial variables"
    return compare_trees(expected, variables_of(layer), bitwise=True, path=path)


def _fits(symbolic: Any, real: Any) -> bool:
    if not isinstance(symbolic, keras.KerasTensor):
        return not is_array(real)
    shapes = zip(symbolic.shape, np.shape(real), strict=False)
    same = len(symbolic.shape) == np.ndim(real)
    return same and symbolic.dtype == str(real.dtype) and all(a in (None, b) for a, b in shapes)


def _text(leaf: Any) -> str:
    return f"{leaf.dtype}{list(leaf.shape)}" if hasattr(leaf, "dtype") else repr(leaf)


@check("B1", needs=MODEL)
def check_symbolic_shapes(subject: Subject) -> None:
    """A symbolic call of unknown batch size gives the shapes and dtypes of a real one."""
    layer = subject.shared_layer()
    args, kwargs = subject.model_inputs()
    refuse_other_shapes(layer(*args, **kwargs), subject.call(layer, training=False))


def refuse_other_shapes(symbolic: Any, real: Any) -> None:
    """Raises if symbolic outputs do not describe real ones.

    Args:
        symbolic: Outputs with Keras tensors for arrays.
        real: Outputs.

    Raises:
        KeepLawError: If they differ in structure, shape or dtype.
    """
    leaves = [jax.tree_util.tree_leaves(tree) for tree in (symbolic, real)]
    alike = len(leaves[0]) == len(leaves[1])
    if not (alike and all(map(_fits, *leaves))):
        raise KeepLawError(
            "The outputs of a symbolic call are not those of a real one.",
            expected=", ".join(map(_text, leaves[1])),
            found=", ".join(map(_text, leaves[0])),
            law="B1",
        )
