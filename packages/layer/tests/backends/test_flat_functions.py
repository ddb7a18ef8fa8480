"""A function of any results is one of flat arrays, whose results are put together again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer.backends.flat_functions import FlatFunction
from flaxlayer.program import CallResult


def test_results_are_arrays_of_jax_whatever_the_leaves_were():
    leaves = FlatFunction(lambda x: (x, 1.5, {"n": np.int32(2)}))(np.ones(2, "float32"))
    assert all(isinstance(leaf, jax.Array) for leaf in leaves)
    assert [leaf.dtype.name for leaf in leaves] == ["float32", "float32", "int32"]


def test_what_stands_for_the_leaves_is_put_in_their_places():
    flat = FlatFunction(lambda x: CallResult([x, None], {3: x}, {}, None, x))
    flat(jnp.ones(()))
    found = flat.assemble(["out", "new", "seed"])
    assert isinstance(found, CallResult)
    assert (found.outputs, found.changed, found.loss) == (["out", None], {3: "new"}, None)
    assert found.seed == "seed"


def test_a_trace_is_a_call_too():
    flat = FlatFunction(lambda x, y: {"sum": x + y})
    abstract = jax.ShapeDtypeStruct((2,), "float32")
    (spec,) = jax.eval_shape(flat, abstract, abstract)
    assert flat.assemble([spec]) == {"sum": abstract}


def test_other_numbers_of_leaves_are_refused():
    flat = FlatFunction(lambda x: (x, x))
    flat(jnp.ones(()))
    with pytest.raises(ValueError):
        flat.assemble([1])
