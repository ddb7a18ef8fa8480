"""Arguments that Keras cannot carry travel packed, and are stored and read back (A1, S1)."""

import collections
import enum
import json

import flax.linen as nn
import flax.struct
import jax
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer.saving.packed_arguments import PackedArguments, decode_structure, encode_structure
from flaxlayer_core import DecodeModuleError, EncodeModuleError, partition

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32).reshape(2, 4)
Point = collections.namedtuple("Point", "x y")


class Mode(enum.Enum):
    PLAIN = 1
    NEGATED = -1


@flax.struct.dataclass
class Batch:
    inputs: jax.Array
    scale: float = flax.struct.field(pytree_node=False, default=1.0)


class Takes(nn.Module):
    @nn.compact
    def __call__(self, x, mode=Mode.PLAIN, act=None, scale=1.0, point=None):
        x = nn.Dense(2)(x.inputs * x.scale if isinstance(x, Batch) else x)
        x = x * mode.value * scale
        x = x if act is None else act(x)
        return x if point is None else x + point.x - point.y


CALLS = {
    "plain": ((X,), {}),
    "enum": ((X, Mode.NEGATED), {}),
    "callable": ((X,), {"act": nn.relu}),
    "floats": ((X,), {"scale": 2.0}),
    "bool_is_no_int": ((X,), {"scale": True}),
    "none": ((X, Mode.PLAIN, None), {}),
    "named_tuple": ((X,), {"point": Point(X[:, :2], X[:, 2:])}),
    "dataclass": ((Batch(X, 3.0),), {}),
}


@pytest.mark.law("S1")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_static_side_of_a_call_is_plain_json_and_comes_back_equal(call):
    args, kwargs = call
    FlaxLayer(Takes())(*args, **kwargs)
    arrays, structure = partition(args, kwargs)
    config = json.loads(json.dumps(encode_structure(structure)))
    again = decode_structure(config)
    assert again == structure
    assert hash(again) == hash(structure)
    merged = again.combine(arrays)
    assert jax.tree.structure(merged) == jax.tree.structure((args, kwargs))


@pytest.mark.law("A1")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_functional_model_computes_what_the_eager_call_computes(call):
    args, kwargs = call
    layer = FlaxLayer(Takes())
    expected = layer(*args, **kwargs)
    leaves, treedef = jax.tree.flatten((args, kwargs))
    arrays = [leaf for leaf in leaves if isinstance(leaf, np.ndarray)]
    tensors = [keras.Input(array.shape[1:]) for array in arrays]
    waiting = iter(tensors)
    symbolic = [next(waiting) if isinstance(leaf, np.ndarray) else leaf for leaf in leaves]
    args, kwargs = jax.tree.unflatten(treedef, symbolic)
    model = keras.Model(tensors, layer(*args, **kwargs))
    np.testing.assert_allclose(model.predict(arrays, verbose=0), expected, rtol=1e-6)


@pytest.mark.law("S1")
def test_a_static_value_that_cannot_be_stored_is_named_when_saving():
    tensor = keras.Input((4,))
    model = keras.Model(tensor, FlaxLayer(Takes())(tensor, act=lambda x: x))
    with pytest.raises(EncodeModuleError, match="arguments"):
        model.to_json()


@pytest.mark.law("S3")
@pytest.mark.parametrize(
    "config", [None, 7, {}, {"arguments": []}, {"arguments": {"$type": "tuple"}}]
)
def test_packed_arguments_of_another_form_are_refused(config):
    with pytest.raises(DecodeModuleError):
        PackedArguments.from_config(config)
