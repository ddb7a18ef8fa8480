"""Arrays without values are told from arrays, and made of them (B4)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer_core.trees.forms import as_form, holds_forms, is_form

pytestmark = pytest.mark.law("B4")


def test_a_form_is_what_has_a_shape_and_no_value():
    assert is_form(jax.ShapeDtypeStruct((), jnp.float32))
    assert not any(map(is_form, (np.ones(2), jnp.ones(2), 1.0, None)))


def test_one_form_in_a_tree_is_found():
    tree = {"params": {"kernel": np.ones(2), "bias": np.ones(2)}}
    assert not holds_forms(tree)
    assert holds_forms({**tree, "stats": jax.ShapeDtypeStruct((), jnp.float32)})


def test_the_form_of_a_tree_has_the_dtypes_that_jax_has():
    key = jax.random.key(0)
    form = as_form({"a": np.ones((2, 3), np.float64), "n": np.int64(1), "key": key})
    assert (form["a"].shape, form["a"].dtype) == ((2, 3), jnp.asarray(1.0).dtype)
    assert (form["n"].shape, form["n"].dtype) == ((), jnp.asarray(1).dtype)
    assert (form["key"].shape, form["key"].dtype) == ((), key.dtype)
