"""What tells calls of linen modules apart, and what may be done again in another one (B6)."""

import functools
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer_core.modules.call_forms import (
    CallForms,
    OutputForm,
    asks_for_its_place,
    is_apart,
    reads_only_fields,
)

pytestmark = pytest.mark.law("B6")

X = np.ones((2, 3), np.float32)


def abstractly(function):
    """Runs a function on a traced array; returns what it returned."""
    found = []
    jax.eval_shape(lambda x: found.append(function(x)), X)
    return found[0]


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ({"x": 1}, {"x": 1}, True),
        ({"x": 1}, {"x": True}, False),
        ({"x": 1}, {"x": 1.0}, False),
        ({"x": 1}, {"y": 1}, False),
        ([None], [1], False),
        ([X, X], [X, X], True),
        ([X, X], [X, X.copy()], False),
        ([X], [X.copy()], False),  # of what is no tracer the value counts
    ],
)
def test_arguments_are_told_apart(one, two, same):
    forms = CallForms()
    assert (forms.of_arguments(one) == forms.of_arguments(two)) is same


def test_traced_arguments_count_by_shape_dtype_and_place():
    def run(x):
        forms = CallForms()
        one, other, third = forms.of_arguments([x]), forms.of_arguments([x + 1]), [x, x + 1]
        return one == other, forms.of_arguments([x, x]) == forms.of_arguments(third)

    assert abstractly(run) == (True, False)
    assert CallForms().of_arguments([X, jnp.sum]) is None


def test_modules_count_by_class_and_fields():
    forms = CallForms()
    one = forms.of_module(nn.Dense(3, name="one"))
    assert one == forms.of_module(nn.Dense(3, name="two"))
    others = (nn.Dense(4), nn.Dense(3, use_bias=False), nn.Dense(3, bias_init=nn.ones))
    assert one not in map(forms.of_module, (*others, nn.Embed(3, 3)))
    assert forms.of_module(nn.Sequential([nn.Dense(3)])) is None


def test_outputs_are_filled_in_their_form():
    outputs = {"y": (jnp.ones((2, 3), jnp.complex64), None), "mode": "train"}
    traced = abstractly(lambda x: OutputForm.of({"y": (x + 1j, None), "mode": "train"}))
    filled = traced.fill(True)
    assert jax.tree.structure(filled) == jax.tree.structure(outputs)
    np.testing.assert_array_equal(filled["y"][0], outputs["y"][0])
    assert filled["y"][0].dtype == "complex64"
    assert OutputForm.of(outputs) is None  # it has values
    assert abstractly(lambda x: OutputForm.of([x, jnp.sum])) is None


class Plain(nn.Module):
    width: int = 3

    def make(self, key):
        return jnp.ones(self.width)

    @nn.compact
    def __call__(self, x):
        return x


class Wraps(Plain):
    @nn.compact
    def __call__(self, x):
        return [n for n in map(lambda k: self.name, x)]


class Property(Plain):
    @property
    def depth(self):
        return len(self.path)


class Starts(Plain):
    def __post_init__(self):
        self.first = self.name is None
        super().__post_init__()


class Inherits(Property):
    pass


@pytest.mark.parametrize(
    ("cls", "asks"),
    [
        (Plain, False),
        (nn.Dense, False),
        (nn.MultiHeadDotProductAttention, False),
        (nn.LayerNorm, False),
        (Wraps, True),
        (Property, True),
        (Starts, True),
        (Inherits, True),
    ],
)
def test_a_class_that_asks_for_its_place_is_known(cls, asks):
    assert asks_for_its_place(cls) is asks


def capturing(value):
    return lambda key: value


@pytest.mark.parametrize(
    ("value", "apart"),
    [
        (3, True),
        (X, True),
        (nn.relu, True),
        (jnp.sum, True),
        (nn.initializers.lecun_normal(), True),
        (functools.partial(nn.gelu, approximate=False), True),
        (capturing({"rate": [0.1, (2,)]}), True),
        (types.SimpleNamespace(width=3, act=nn.relu), True),
        (Plain(), False),
        (Plain().make, False),
        (capturing(Plain()), False),
        (capturing({"inner": [Plain()]}), False),
        (functools.partial(capturing, Plain()), False),
        (types.SimpleNamespace(inner=Plain()), False),
    ],
)
def test_what_has_to_do_with_modules_is_known(value, apart):
    assert is_apart(value) is apart


def test_what_captures_a_traced_array_is_known():
    assert abstractly(lambda x: is_apart(capturing(x))) is False


def initialisers(module, fields_init):
    """Functions that a module might hand to `param`, and whether an equal one can use them."""
    wrapped = Plain(fields_init) if fields_init is not None else module

    def of_fields(key, shape):
        return jnp.ones((*shape, module.width))

    def of_variables(key, shape):
        return jnp.ones(shape) * len(module.variables)

    def of_a_method(key, shape):
        return module.make(key)

    def of_an_inner_function(key, shape):
        return (lambda: module.make_rng("params"))()

    def of_another(key, shape):
        return jnp.ones(shape) * wrapped.width

    return [of_fields, of_variables, of_a_method, of_an_inner_function, of_another]


def test_an_initialiser_may_read_fields_alone():
    found = list(map(reads_only_fields, initialisers(Plain(), None)))
    assert found == [True, False, False, False, True]
    assert not reads_only_fields(Plain().make)
    assert not reads_only_fields(initialisers(Plain(), Plain().make)[-1])
    assert reads_only_fields(nn.initializers.normal())
    assert not abstractly(lambda x: reads_only_fields(capturing(x)))
