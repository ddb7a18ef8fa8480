"""The words for what is passed around are all there, and each says what it is for."""

import ast
import inspect
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer_core import typing


def documented():
    """Words with a text below their definition, or a docstring of their own."""
    body = ast.parse(inspect.getsource(typing)).body
    below = {
        node.target.id
        for node, after in itertools.pairwise(body)
        if isinstance(node, ast.AnnAssign)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
    }
    return below | {node.name for node in body if isinstance(node, ast.ClassDef)}


def test_each_word_is_defined_and_explained():
    of_jax = {"ClosedJaxpr", "Jaxpr", "JaxprEqn"}
    assert documented() == set(typing.__all__) - of_jax
    assert all(hasattr(typing, name) for name in typing.__all__)


@pytest.mark.parametrize(
    "value",
    [np.ones(2), jnp.ones(2), jax.ShapeDtypeStruct((2,), jnp.float32), np.float32(1)],
    ids=["numpy", "jax", "abstract", "scalar"],
)
def test_arrays_and_their_descriptions_have_what_is_asked_of_them(value):
    asked = {name for name, kind in vars(typing.Shaped).items() if isinstance(kind, property)}
    assert asked == {"shape", "dtype"}
    assert all(hasattr(value, name) for name in asked)
