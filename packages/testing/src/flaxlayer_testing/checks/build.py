"""Checks of what a layer has after build: paths, dtypes, values, shapes (§3, §6, §7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from flaxlayer_testing.checks.needs import MODEL, Need
from flaxlayer_testing.checks.registry import Errors, check
from flaxlayer_testing.compare.trees import compare_trees
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.oracle.statics import evaluate_with_statics
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
    eventual = leaf_paths(subject.oracle.eventual)
    expected = sorted(eventual)
    # A collection that an application makes has a flag that tells whether it is made.
    late = {path.partition("/")[0] for path in eventual.keys() - leaf_paths(subject.oracle.stored)}
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
    refuse_other_types(subject.oracle.stored, subject.shared_layer(), "C6")


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


@dataclass(frozen=True)
class _Form:
    """What a symbolic output says of an array; None for a size that depends on the batch."""

    shape: tuple[int | None, ...]
    dtype: str

    @classmethod
    def of(cls, leaf: Any) -> Any:
        """Returns the form of an array, a description or a Keras tensor, else the leaf itself."""
        described = hasattr(leaf, "shape") and hasattr(leaf, "dtype")
        return cls(tuple(leaf.shape), str(leaf.dtype)) if described else leaf

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join('?' if s is None else str(s) for s in self.shape)}]"


@check("B1", needs=MODEL)
def check_symbolic_shapes(subject: Subject) -> None:
    """A symbolic call of unknown batch size gives the outputs of raw Flax, sizes of none but it."""
    args, kwargs = subject.model_inputs()
    outputs = subject.shared_layer()(*args, **kwargs)
    expected = _described(subject, 1)
    if subject.oracle.takes_any_batch:
        expected = jax.tree_util.tree_map(_joined, expected, _described(subject, 2))
    refuse_other_shapes(outputs, expected)


def _described(subject: Subject, batches: int) -> Any:
    """Returns the forms of the outputs of raw apply on this many times the batch."""
    function, rngs = subject.oracle.function(training=False), {"params": jax.random.key(0)}
    arrays = [
        jax.ShapeDtypeStruct((batches * array.shape[0], *array.shape[1:]), array.dtype)
        for array in subject.arrays
    ]
    outputs, _ = evaluate_with_statics(function, subject.oracle.stored, rngs, arrays)
    return jax.tree_util.tree_map(_Form.of, outputs)


def _joined(one: Any, other: Any) -> Any:
    if not isinstance(one, _Form):
        return one
    sizes = zip(one.shape, other.shape, strict=True)
    return _Form(tuple(a if a == b else None for a, b in sizes), one.dtype)


def refuse_other_shapes(symbolic: Any, expected: Any) -> None:
    """Raises if symbolic outputs are not of the form that they must have.

    Args:
        symbolic: Outputs with Keras tensors for arrays.
        expected: Outputs with arrays, or with their forms.

    Raises:
        KeepLawError: If they differ in structure, shape, dtype or a value that is no array.
    """
    trees = [jax.tree_util.tree_map(_Form.of, tree) for tree in (symbolic, expected)]
    found, wanted = (str(jax.tree_util.tree_structure(tree)) for tree in trees)
    if found != wanted:
        raise KeepLawError(
            "The outputs of a symbolic call have another structure than those of raw Flax.",
            expected=wanted,
            found=found,
            law="B1",
        )
    leaves, wanted_leaves = map(jax.tree_util.tree_leaves, trees)
    if leaves != wanted_leaves:
        raise KeepLawError(
            "The outputs of a symbolic call have other forms than those of raw Flax.",
            expected=", ".join(map(str, wanted_leaves)),
            found=", ".join(map(str, leaves)),
            law="B1",
        )
