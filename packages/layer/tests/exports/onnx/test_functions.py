"""What a converter to ONNX is handed of a function, and how its refusals are told (S4).

The converter is one of this file: none needs to be there.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer.compat.jax_primitives import window_of
from flaxlayer.exports.onnx.functions import converted
from flaxlayer_core import ArraySpec, ExportModelError, equations

pytestmark = pytest.mark.law("S4")

FLOAT = np.dtype("float32")


def _spec(*shape):
    return ArraySpec(shape, FLOAT)


def _operations(function, form):
    return [
        equation.primitive.name for equation in equations(jax.make_jaxpr(function)(*form).jaxpr)
    ]


def test_what_is_converted_computes_what_the_function_does():
    def convert(function, form):
        assert [str(array.shape) for array in form] == ["(3,)", "(2, 3)"]
        return function

    run = converted("net", lambda x, y: [x + y, x], [_spec(3), _spec(2, 3)], convert)
    x, y = np.ones(3, np.float32), np.arange(6, dtype=np.float32).reshape(2, 3)
    for found, expected in zip(run(x, y), [x + y, x], strict=True):
        np.testing.assert_array_equal(found, expected)


def test_what_no_result_needs_is_left_out():
    def function(x, unused):
        jnp.sin(unused)
        return [jnp.cos(x)]

    found = converted("net", function, [_spec(3), _spec(2)], _operations)
    assert found == ["cos"]
    run = converted("net", function, [_spec(3), _spec(2)], lambda function, form: function)
    np.testing.assert_allclose(run(np.zeros(3, np.float32), np.zeros(2, np.float32))[0], 1.0)


def test_pooling_has_fewer_dimensions_where_it_can():
    def ranks(function, form):
        windows = map(window_of, equations(jax.make_jaxpr(function)(*form).jaxpr))
        return {len(window.sizes) for window in windows if window is not None}

    pool = jax.checkpoint(lambda x: [nn.max_pool(x, (2, 2))])
    x = jax.ShapeDtypeStruct((2, 4, 4, 1), FLOAT)
    assert ranks(pool, [x]) == {4}
    assert converted("net", pool, [_spec(2, 4, 4, 1)], ranks) == {3}


def test_a_size_that_the_function_takes_is_unknown_to_the_converter():
    def shapes(function, form):
        return [jax.export.is_symbolic_dim(dim) for dim in form[0].shape]

    assert converted("net", lambda x: [2 * x], [_spec(None, 3)], shapes) == [True, False]


def test_a_size_that_must_be_known_is_told():
    with pytest.raises(ExportModelError, match="JAX cannot trace for an unknown size") as caught:
        converted("net", lambda x: [x / int(x.shape[0])], [_spec(None, 3)], _operations)
    assert "Model 'net'" in str(caught.value)


def test_whatever_a_converter_raises_is_a_refusal_of_one_line():
    class Odd(Exception):
        pass

    def refuse(function, form):
        raise Odd("no such operation\nand much more")

    with pytest.raises(ExportModelError) as caught:
        converted("net", lambda x: [x], [_spec(3)], refuse)
    assert caught.value.found == "Odd: no such operation"
    assert isinstance(caught.value.__cause__, Odd)


@pytest.mark.parametrize("fails", [False, True], ids=["done", "refused"])
def test_what_a_converter_leaves_in_jax_is_put_back(fails, monkeypatch):
    real = jnp.cumsum

    def convert(function, form):
        jnp.cumsum = None
        if fails:
            raise ValueError("refused")

    try:
        converted("net", lambda x: [x], [_spec(3)], convert)
    except ExportModelError:
        assert fails
    assert jnp.cumsum is real
