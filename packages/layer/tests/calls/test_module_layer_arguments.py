"""Arguments reach the method under any names, in any classes; keys and objects of nnx too (A1)."""

import collections
import dataclasses
import functools
import types
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer
from flaxlayer_core import CallArgumentError
from packages.layer.tests.needs import needs_nnx

X = np.linspace(-1.0, 1.0, 6, dtype=np.float32).reshape(2, 3)
Y = np.asarray([[2.0, 4.0, 8.0]] * 2, np.float32)
NAMES = ("inputs", "args", "kwargs", "flax_arguments", "name", "call", "rngs", "method", "mutable")


class Named(nn.Module):
    """Takes the names that Keras and Flax have themselves."""

    @nn.compact
    def __call__(module, x, *, self=None, variables=None, **others):
        y = nn.Dense(3)(x)
        given = [*others.values(), *(v for v in (self, variables) if v is not None)]
        return functools.reduce(jnp.multiply, given, y)


class NamedNnx(nnx.Module):
    def __init__(self, rngs):
        self.dense = nnx.Linear(3, 3, rngs=rngs)

    def __call__(module, x, *, self=None, variables=None, **others):
        y = module.dense(x)
        given = [*others.values(), *(v for v in (self, variables) if v is not None)]
        return functools.reduce(jnp.multiply, given, y)


MODULES = {"linen": Named, "nnx": lambda: NamedNnx(nnx.Rngs(0))}


@pytest.mark.law("A1")
@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)
def test_an_argument_reaches_the_method_under_any_name(make):
    layer = FlaxLayer(make())
    plain = np.asarray(layer(X))
    for name in (*NAMES, "self", "variables"):
        np.testing.assert_allclose(layer(X, **{name: Y}), plain * Y, rtol=1e-6, err_msg=name)


class Inputs(nn.Module):
    @nn.compact
    def __call__(self, inputs, other=None):
        y = nn.Dense(3)(inputs)
        return y if other is None else y * other


class InputsNnx(nnx.Module):
    def __init__(self, rngs):
        self.dense = nnx.Linear(3, 3, rngs=rngs)

    def __call__(self, inputs, other=None):
        y = self.dense(inputs)
        return y if other is None else y * other


@pytest.mark.law("A1")
@pytest.mark.parametrize("make", [Inputs, lambda: InputsNnx(nnx.Rngs(0))], ids=["linen", "nnx"])
def test_a_first_argument_called_inputs_can_be_named(make):
    layer = FlaxLayer(make())
    named = layer(inputs=X, other=Y)
    np.testing.assert_array_equal(named, layer(X, Y))
    np.testing.assert_array_equal(layer(other=Y, inputs=X), named)


@pytest.mark.law("A1")
def test_a_functional_model_keeps_a_named_first_argument_through_its_file(tmp_path):
    x, y = keras.Input((3,)), keras.Input((3,))
    model = keras.Model([x, y], FlaxLayer(Inputs())(inputs=x, other=y))
    model.layers[-1].set_weights([w + 1 for w in model.layers[-1].get_weights()])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again([X, Y]), model([X, Y]))


class Noisy(nn.Module):
    @nn.compact
    def __call__(self, x, key):
        return x + jax.random.normal(key, x.shape)


class NoisyNnx(nnx.Module):
    def __call__(self, x, key):
        return x + jax.random.normal(key, x.shape)


KEYS = {
    "typed": lambda: jax.random.key(3),
    "rbg": lambda: jax.random.key(3, impl="rbg"),
    "raw": lambda: jax.random.PRNGKey(3),
}


@pytest.mark.law("A1")
@pytest.mark.parametrize("make", [Noisy, NoisyNnx], ids=["linen", "nnx"])
@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_random_keys_are_arguments(make, key, close):
    layer = FlaxLayer(make())
    expected = X + np.asarray(jax.random.normal(key(), X.shape))
    close(np.asarray(layer(X, key())), expected, rtol=1e-6, atol=1e-6)
    close(np.asarray(layer(X, key=key())), expected, rtol=1e-6, atol=1e-6)
    assert len(layer._runner.cache.specs) <= 2


@pytest.mark.law("A1")
def test_a_typed_key_is_a_constant_of_a_functional_model_and_of_its_file(tmp_path, close):
    x = keras.Input((3,))
    model = keras.Model(x, FlaxLayer(Noisy())(x, {"k": jax.random.key(3)}["k"]))
    expected = X + np.asarray(jax.random.normal(jax.random.key(3), X.shape))
    close(np.asarray(model(X)), expected, rtol=1e-6, atol=1e-6)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    close(np.asarray(again(X)), expected, rtol=1e-6, atol=1e-6)


class WithRngs(nn.Module):
    @nn.compact
    def __call__(self, x, *, streams):
        return x * jax.random.uniform(streams.noise()) + jax.random.uniform(streams.noise())


class WithRngsNnx(nnx.Module):
    def __call__(self, x, *, streams):
        return x * jax.random.uniform(streams.noise()) + jax.random.uniform(streams.noise())


@pytest.mark.law("A1")
@pytest.mark.parametrize("make", [WithRngs, WithRngsNnx], ids=["linen", "nnx"])
@pytest.mark.parametrize("names", [("noise",), ("default",)], ids=["own", "default"])
def test_random_streams_of_nnx_are_arguments_and_stay_the_callers(make, names, close):
    layer = FlaxLayer(make())

    def raw(rngs):
        first, second = jax.random.uniform(rngs.noise()), jax.random.uniform(rngs.noise())
        return X * np.asarray(first) + np.asarray(second)

    rngs = nnx.Rngs(**dict.fromkeys(names, 5))
    expected = raw(nnx.Rngs(**dict.fromkeys(names, 5)))
    for _ in range(2):  # the call counts on in a copy of its own
        close(np.asarray(layer(X, streams=rngs)), expected, rtol=1e-6, atol=1e-6)
    rngs.noise()
    expected = raw(nnx.clone(rngs))
    close(np.asarray(layer(X, streams=rngs)), expected, rtol=1e-6, atol=1e-6)
    assert len(layer._runner.cache.specs) == 1


class Applies(nn.Module):
    @nn.compact
    def __call__(self, x, first, second):
        return second(first(x)) if isinstance(first, nnx.Module) else x * jax.tree.leaves(first)[0]


class AppliesNnx(nnx.Module):
    def __call__(self, x, first, second):
        return second(first(x)) if isinstance(first, nnx.Module) else x * jax.tree.leaves(first)[0]


@pytest.mark.law("A1")
@needs_nnx
@pytest.mark.parametrize("make", [Applies, AppliesNnx], ids=["linen", "nnx"])
def test_modules_states_and_variables_of_nnx_are_arguments(make, close):
    linear = nnx.Linear(3, 3, rngs=nnx.Rngs(0))
    linear.bias[...] = jnp.arange(3.0)
    expected = np.asarray(linear(linear(jnp.asarray(X))))
    layer = FlaxLayer(make())
    close(np.asarray(layer(X, linear, linear)), expected)
    assert len(layer._runner.cache.specs) == 1
    scale = nnx.Param(jnp.float32(2.0))
    np.testing.assert_array_equal(layer(X, scale, None), X * 2)
    np.testing.assert_array_equal(layer(X, nnx.state({"a": scale}), None), X * 2)


@jax.tree_util.register_pytree_node_class
class Ragged:
    """What a library registers: it looks like an array, and is a tree."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    @property
    def shape(self):
        return self.x.shape

    @property
    def dtype(self):
        return self.x.dtype

    def tree_flatten(self):
        return (self.x, self.y), None

    @classmethod
    def tree_unflatten(cls, aux, children):
        return cls(*children)


@dataclasses.dataclass
class Plain:
    x: Any
    y: Any


@dataclasses.dataclass(frozen=True, slots=True)
class Slots:
    x: Any
    y: Any


@flax.struct.dataclass
class Struct:
    x: jax.Array
    y: jax.Array


class Attributes(dict):
    """A mapping with attributes, as of `ml_collections` or transformers."""

    __getattr__ = dict.__getitem__


class Encoding(collections.UserDict):
    """One that keeps its items in an attribute, as `transformers.BatchEncoding`."""

    def __getattr__(self, name):
        if name == "data":
            raise AttributeError(name)
        return self.data[name]


Point = collections.namedtuple("Point", "x y")
CLASSES = (
    Ragged,
    Plain,
    Slots,
    Struct,
    Attributes,
    Encoding,
    Point,
    types.SimpleNamespace,
    collections.OrderedDict,
    functools.partial(collections.defaultdict, int),
)


def _parts(value):
    return (value["x"], value["y"]) if isinstance(value, dict) else (value.x, value.y)


def _again(value, x, y):
    if isinstance(value, collections.defaultdict):
        return collections.defaultdict(value.default_factory, x=x, y=y)
    return type(value)(x=x, y=y)


class Swaps(nn.Module):
    """Returns what it takes, in the same class."""

    @nn.compact
    def __call__(self, value):
        x, y = _parts(value)
        return _again(value, nn.Dense(3)(y), x)


class SwapsNnx(nnx.Module):
    def __init__(self, rngs):
        self.dense = nnx.Linear(3, 3, rngs=rngs)

    def __call__(self, value):
        x, y = _parts(value)
        return _again(value, self.dense(y), x)


SWAPS = {"linen": Swaps, "nnx": lambda: SwapsNnx(nnx.Rngs(0))}


@pytest.mark.law("A1")
@pytest.mark.parametrize("make", SWAPS.values(), ids=SWAPS)
@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: getattr(kind, "__name__", "defaultdict"))
def test_trees_of_any_class_are_arguments_and_outputs(make, kind, close):
    layer = FlaxLayer(make())
    value = kind(x=X, y=Y)
    for _ in range(2):
        result = layer(value)
        assert type(result) is type(value)
        np.testing.assert_array_equal(_parts(result)[1], X)
        weights = {variable.path.split("/")[-1]: np.asarray(variable) for variable in layer.weights}
        close(np.asarray(_parts(result)[0]), Y @ weights["kernel"] + weights["bias"])
    assert len(layer._runner.cache.specs) == 1


@pytest.mark.law("A5")
@pytest.mark.parametrize("make", SWAPS.values(), ids=SWAPS)
@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: getattr(kind, "__name__", "defaultdict"))
def test_trees_of_any_class_are_arguments_and_outputs_of_functional_models(make, kind):
    layer = FlaxLayer(make())
    x, y = keras.Input((3,)), keras.Input((3,))
    result = layer(kind(x=x, y=y))
    assert type(result) is type(kind(x=x, y=y))
    model = keras.Model([x, y], _parts(result))
    eager = _parts(layer(kind(x=X, y=Y)))
    for left, right in zip(model([X, Y]), eager, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-6)


class Sums(nn.Module):
    @nn.compact
    def __call__(self, value):
        if isinstance(value, dict):
            value = [value["x"], *value["y"]]
        assert type(value) is list
        return sum(value)


@pytest.mark.law("A1")
@pytest.mark.parametrize(
    "value", [np.array([1, None]), np.array(["a", "b"])], ids=["objects", "text"]
)
def test_arrays_that_hold_no_numbers_are_refused(value):
    with pytest.raises(CallArgumentError, match="neither an array nor hashable"):
        FlaxLayer(Sums())(value)


class Default(nn.Module):
    @nn.compact
    def __call__(self, x=None, scale=2):
        y = jnp.ones((1, 3)) if x is None else x
        return nn.Dense(3, kernel_init=nn.initializers.ones)(y) * scale


@pytest.mark.law("A1")
def test_no_argument_none_and_numbers_of_numpy_are_arguments():
    layer = FlaxLayer(Default())
    np.testing.assert_array_equal(layer(), np.full((1, 3), 6.0))
    np.testing.assert_array_equal(layer(None), np.full((1, 3), 6.0))
    np.testing.assert_array_equal(layer(None, 3), np.full((1, 3), 9.0))
    np.testing.assert_array_equal(layer(X, scale=np.float64(2)), layer(X))
    np.testing.assert_array_equal(layer(X, scale=np.int64(2)), layer(X))
    np.testing.assert_array_equal(FlaxLayer(Sums())([X, 1, 2]), X + 3)
