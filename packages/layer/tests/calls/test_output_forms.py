"""Classes of outputs are made of what raw Flax gives them, and come back in every call (A5)."""

import collections
import dataclasses
import subprocess
import sys
from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer
from flaxlayer_core import EncodeModuleError

X = np.linspace(-1.0, 1.0, 6, dtype=np.float32).reshape(2, 3)
SEEN = set()


def _look(value):
    kind = type(value)
    SEEN.add("jax" if isinstance(value, jax.Array) else kind.__module__.partition(".")[0])
    if not (isinstance(value, jax.Array) or keras.ops.is_tensor(value)):
        raise TypeError(f"a field is a {kind}")


@flax.struct.dataclass
class ModelOutput(collections.OrderedDict):
    """As in transformers: a dict and a dataclass, which looks at its first field."""

    hidden: jax.Array | None = None
    pooled: jax.Array | None = None
    nothing: jax.Array | None = None

    def __post_init__(self):
        fields = dataclasses.fields(self)
        _look(getattr(self, fields[0].name))
        for field in fields:
            value = getattr(self, field.name)
            if value is not None:
                self[field.name] = value


@flax.struct.dataclass
class Checked:
    hidden: jax.Array
    pooled: jax.Array
    label: str = flax.struct.field(pytree_node=False, default="checked")

    def __post_init__(self):
        _look(self.hidden)
        if self.hidden.ndim != self.pooled.ndim + 1:
            raise ValueError("ranks")


@jax.tree_util.register_pytree_node_class
class Registered:
    __slots__ = ("hidden", "pooled")

    def __init__(self, hidden, pooled):
        _look(hidden)
        self.hidden, self.pooled = hidden, pooled

    def tree_flatten(self):
        return (self.hidden, self.pooled), None

    @classmethod
    def tree_unflatten(cls, aux, children):
        return cls(*children)


class Pair(NamedTuple):
    hidden: Any
    pooled: Any


@dataclasses.dataclass
class Unregistered:
    hidden: Any
    pooled: Any

    def __post_init__(self):
        _look(self.hidden)


KINDS = (ModelOutput, Checked, Registered, Pair, Unregistered)


class Net(nn.Module):
    kind: Any

    @nn.compact
    def __call__(self, x):
        hidden = nn.Dense(4)(x)
        return {"out": self.kind(hidden=hidden, pooled=hidden.sum(-1)), "name": "net", "same": x}


class NetNnx(nnx.Module):
    def __init__(self, kind, rngs):
        self.kind, self.dense = kind, nnx.Linear(3, 4, rngs=rngs)

    def __call__(self, x):
        hidden = self.dense(x)
        return {"out": self.kind(hidden=hidden, pooled=hidden.sum(-1)), "name": "net", "same": x}


MAKERS = {"linen": Net, "nnx": lambda kind: NetNnx(kind, nnx.Rngs(0))}


def _expected(layer):
    weights = {variable.path.split("/")[-1]: np.asarray(variable) for variable in layer.weights}
    hidden = X @ weights["kernel"] + weights["bias"]
    return hidden, hidden.sum(-1)


@pytest.mark.law("A5")
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_class_that_looks_at_its_fields_sees_arrays_only(make, kind):
    SEEN.clear()
    layer = FlaxLayer(make(kind))
    for _ in range(2):
        outputs = layer(X)
        assert type(outputs["out"]) is kind
        assert outputs["name"] == "net"
        hidden, pooled = _expected(layer)
        np.testing.assert_allclose(outputs["out"].hidden, hidden, rtol=1e-5)
        np.testing.assert_allclose(outputs["out"].pooled, pooled, rtol=1e-5, atol=1e-6)
    assert {"jax", "tensorflow", "torch"} >= SEEN


@pytest.mark.law("A5")
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_such_a_class_holds_keras_tensors_in_a_functional_model_that_trains(make, kind):
    SEEN.clear()
    layer = FlaxLayer(make(kind))
    x = keras.Input((3,))
    outputs = layer(x)
    assert type(outputs["out"]) is kind
    assert outputs["name"] == "net"
    assert outputs["out"].hidden.shape == (None, 4)
    assert outputs["out"].pooled.shape == (None,)
    if kind is ModelOutput:
        assert outputs["out"]["hidden"] is outputs["out"].hidden
        assert outputs["out"].nothing is None
    model = keras.Model(x, [outputs["out"].hidden, outputs["out"].pooled, outputs["same"]])
    model.compile("sgd", ["mse", "mse", None])
    model.fit(X, [np.ones((2, 4)), np.ones(2), X], epochs=1, verbose=0)
    hidden, pooled = _expected(layer)
    for left, right in zip(model(X), (hidden, pooled, X), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)
    assert {"jax", "tensorflow", "torch"} >= SEEN


@pytest.mark.law("A5")
@pytest.mark.parametrize("kind", KINDS[:2], ids=lambda kind: kind.__name__)
def test_such_a_model_is_saved_and_loaded(kind, tmp_path):
    x = keras.Input((3,))
    outputs = FlaxLayer(Net(kind))(x)["out"]
    model = keras.Model(x, {"hidden": outputs.hidden, "pooled": outputs.pooled})
    model.set_weights([weight + 1 for weight in model.get_weights()])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for name in ("hidden", "pooled"):
        np.testing.assert_array_equal(again(X)[name], model(X)[name])


class Swap(nn.Module):
    @nn.compact
    def __call__(self, pair, scale=1.0):
        assert isinstance(pair, Pair | ModelOutput), type(pair)
        return type(pair)(hidden=pair.pooled * scale, pooled=nn.Dense(4)(pair.hidden))


@pytest.mark.law("A5")
@pytest.mark.parametrize("kind", [Pair, ModelOutput], ids=lambda kind: kind.__name__)
def test_arguments_come_back_in_their_class_after_loading(kind, tmp_path):
    x, y = keras.Input((3,)), keras.Input((2,))
    given = Pair(x, y)
    if kind is ModelOutput:
        given = ModelOutput(jnp.ones(1), jnp.ones(1))
        for name, tensor in (("hidden", x), ("pooled", y)):
            object.__setattr__(given, name, tensor)
            given[name] = tensor
    SEEN.clear()
    outputs = FlaxLayer(Swap())(given, scale=2.0)
    assert type(outputs) is kind
    model = keras.Model([x, y], [outputs.hidden, outputs.pooled])
    model.set_weights([weight + 1 for weight in model.get_weights()])
    expected = model([X, X[:, :2]])
    assert {"jax", "tensorflow", "torch"} >= SEEN
    if kind is ModelOutput:  # it cannot be made before the tensors are there
        with pytest.raises(EncodeModuleError, match="register"):
            model.save(tmp_path / "model.keras")
        return
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for left, right in zip(again([X, X[:, :2]]), expected, strict=True):
        np.testing.assert_array_equal(left, right)


class Sows(nn.Module):
    @nn.compact
    def __call__(self, x):
        y = nn.Dense(4)(x)
        self.sow("intermediates", "pair", Pair(y, "text" if y.ndim == 1 else y.sum(-1)))
        return Checked(y, y.sum(-1))


@pytest.mark.law("A5")
def test_sown_values_come_beside_such_outputs_in_a_functional_model():
    layer = FlaxLayer(Sows(), return_sown=("intermediates",))
    x = keras.Input((3,))
    outputs, sown = layer(x)
    assert type(outputs) is Checked
    assert outputs.label == "checked"
    (pair,) = sown["intermediates"]["pair"]
    model = keras.Model(x, [outputs.hidden, pair.pooled])
    hidden, pooled = _expected(layer)
    for left, right in zip(model(X), (hidden, pooled), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)


# Keras on torch sorts the keys of a dict.
KEY = "3" if keras.backend.backend() == "torch" else 3


class Many(nn.Module):
    @nn.compact
    def __call__(self, x):
        return [x, None, {"text": "a", KEY: x}, (1, 2.5, x, x), Pair(None, [x]), jax.random.key(0)]


@pytest.mark.law("A5")
def test_none_text_numbers_and_keys_stand_among_outputs(same_results):
    layer = FlaxLayer(Many())
    outputs = layer(X)
    assert outputs[1] is None
    assert outputs[2]["text"] == "a"
    assert outputs[3][:2] == (1, 2.5)
    assert outputs[4].hidden is None
    for value in (outputs[0], outputs[2][KEY], outputs[3][2], outputs[3][3], outputs[4].pooled[0]):
        same_results(np.asarray(value), X)
    key = outputs[5] if keras.ops.is_tensor(outputs[5]) else jax.random.key_data(outputs[5])
    if keras.backend.backend() == "jax":
        key = jax.random.key_data(outputs[5])
    np.testing.assert_array_equal(key, jax.random.key_data(jax.random.key(0)))
    symbolic = layer(keras.Input((3,)))
    assert symbolic[1] is None
    assert symbolic[2]["text"] == "a"
    assert symbolic[3][:2] == (1, 2.5)
    assert symbolic[3][3].shape == (None, 3)


@pytest.mark.slow
@pytest.mark.law("A5")
@pytest.mark.jax_only
def test_a_class_that_asks_for_its_framework_imports_no_tensorflow(tmp_path):
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import keras, numpy, jax
import flax.linen as nn, flax.struct
from flaxlayer import FlaxLayer

@flax.struct.dataclass
class Output:
    value: jax.Array

    def __post_init__(self):
        if not isinstance(self.value, jax.Array):
            import tensorflow

class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        return Output(nn.Dense(2)(x))

before = set(sys.modules)
layer = FlaxLayer(Net())
x = keras.Input((3,))
model = keras.Model(x, layer(x).value)
model(numpy.ones((2, 3)))
layer(numpy.ones((2, 3)))
assert "tensorflow" not in set(sys.modules) - before
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
