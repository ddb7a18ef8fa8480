"""A value that a variable would hold only in part is refused, not cut in silence (C6, W4, S6)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import serialization

from flaxlayer import FlaxLayer
from flaxlayer_core import MatchVariablesError, MatchWeightsFileError


class Kinds(nn.Module):
    @nn.compact
    def __call__(self, x):
        scale = self.param("scale", nn.initializers.ones, ())
        self.param("half", nn.initializers.ones, (2,), jnp.bfloat16)
        self.param("wave", nn.initializers.ones, (2,), jnp.complex64)
        self.variable("state", "count", lambda: jnp.zeros((), jnp.int8))
        self.variable("state", "flags", lambda: jnp.zeros(2, bool))
        self.variable("state", "key", lambda: jax.random.key(0))
        return x * scale


@pytest.fixture
def layer():
    layer = FlaxLayer(Kinds())
    layer.build((None, 3))
    return layer


LOST = [
    ("params/scale", 1 + 2j, "dtype complex128, not float32"),
    ("params/scale", True, "dtype bool, not float32"),
    ("params/half", np.ones(2, np.complex64), "dtype complex64, not bfloat16"),
    ("state/count", 1.5, "dtype float64, not int8"),
    ("state/count", float("nan"), "dtype float64, not int8"),
    ("state/count", 128, "values from 128 to 128, beyond int8"),
    ("state/count", 2**64 - 1, "beyond int8"),
    ("state/count", np.uint64(200), "values from 200 to 200, beyond int8"),
    ("state/flags", np.ones(2), "dtype float64, not bool"),
    ("state/flags", np.ones(2, np.int8), "dtype int8, not bool"),
    ("state/key", 3, "not that of a key"),
    ("state/key", np.ones(2), "shape [2]"),
    ("state/key", np.ones(2, np.int32), "shape [2]"),
    ("state/key", np.full(2, 2**40, np.uint64), "shape [2]"),
    ("state/key", np.ones(3, np.uint32), "shape [3]"),
]


def tree_of(path, value):
    collection, name = path.split("/")
    return {collection: {name: value}}


@pytest.mark.law("W4")
@pytest.mark.parametrize(("path", "value", "found"), LOST, ids=[f"{p}-{v!r}" for p, v, _ in LOST])
def test_what_would_be_lost_in_silence_is_refused(path, value, found, layer, tmp_path, same_bits):
    before = layer.get_weights()
    with pytest.raises(MatchVariablesError) as caught:
        layer.load_flax_variables(tree_of(path, value))
    (tmp_path / "m").write_bytes(serialization.msgpack_serialize(tree_of(path, value)))
    with pytest.raises(MatchVariablesError):
        layer.load_flax_variables(tmp_path / "m")
    assert f"{path}: " in caught.value.found
    assert found in caught.value.found
    same_bits(layer.get_weights(), before)


KEPT = [
    ("params/scale", 3, np.float32(3)),
    ("params/scale", 2**64 - 1, np.float32(2**64)),
    ("params/scale", -(2**63), np.float32(-(2**63))),
    ("params/scale", np.uint64(2**63), np.float32(2**63)),
    ("params/scale", np.float64(0.1), np.float32(0.1)),
    ("params/wave", np.full(2, 2.0), np.full(2, 2, np.complex64)),
    ("state/count", np.int64(-128), np.int8(-128)),
    ("state/flags", np.array([True, False]), np.array([True, False])),
    ("state/key", np.full(2, 7, np.uint64), np.full(2, 7, np.uint32)),
]


@pytest.mark.law("C6")
@pytest.mark.parametrize(("path", "value", "kept"), KEPT, ids=[f"{p}-{v!r}" for p, v, _ in KEPT])
def test_a_value_of_another_width_is_kept_whole(path, value, kept, layer, same_bits):
    layer.load_flax_variables(tree_of(path, value))
    collection, name = path.split("/")
    found = layer.flax_variables()[collection][name]
    if name == "key":
        found = jax.random.key_data(found)
    same_bits(found, kept)


@pytest.mark.law("C6")
def test_a_layer_that_stores_more_digits_than_its_module_keeps_them():
    layer = FlaxLayer(Kinds(), dtype="float32")
    layer.build((None, 3))
    layer.load_flax_variables({"params": {"half": np.full(2, 0.1)}})
    half = next(variable for variable in layer.weights if variable.name == "half")
    assert half.numpy().tolist() == [np.float32(0.1)] * 2


def stored(layer, **changes):
    store = {}
    layer.save_own_variables(store)
    return {key: np.asarray(value) for key, value in store.items()} | changes


@pytest.mark.law("W4")
@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("state.count", np.array(128, np.int64)),
        ("state.key", np.full(2, 2**40, np.uint64)),
    ],
    ids=["count", "key"],
)
def test_a_weights_file_with_integers_that_are_too_large_is_refused(key, value, built, layer):
    store = stored(layer, **{key: value})
    other = FlaxLayer(Kinds())
    if built:
        other.build((None, 3))
    before = other.get_weights()
    with pytest.raises(MatchWeightsFileError, match=f"{key} has values from"):
        other.load_own_variables(store)
    assert len(other.get_weights()) == len(before)
    other.load_own_variables(stored(layer, **{key: (value % 5).astype(value.dtype)}))
    assert other.built


@pytest.mark.law("S3")
def test_a_record_of_very_many_values_is_not_parsed(layer, monkeypatch):
    monkeypatch.setattr(
        "flaxlayer.saving.input_records.json.loads", lambda text: pytest.fail("parsed")
    )
    record = np.frombuffer(b"[" + b"[]," * (1 << 19) + b"[]]", np.uint8)
    with pytest.raises(ValueError, match="values"):
        layer.load_own_variables(stored(layer, **{"%inputs": record}))
