"""Modules, dataclasses, named tuples and enum members go to JSON and back (S1)."""

import dataclasses
import enum
import json
import typing

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from flaxlayer_core import DecodeModuleError, EncodeModuleError
from flaxlayer_core.config import (
    decode_module,
    encode_module,
    encode_value,
    world,
)

he = nn.initializers.he_normal
ATTENTION = {
    "num_heads": 4,
    "dtype": jnp.bfloat16,
    "qkv_features": 32,
    "dropout_rate": 0.1,
    "precision": jax.lax.Precision.HIGHEST,
    "kernel_init": he(),
    "decode": True,
    "normalize_qk": True,
}
CONV = {
    "features": 8,
    "kernel_size": (3, 3),
    "strides": (2, 1),
    "padding": ((0, 1), (2, 3)),
    "kernel_init": nn.with_partitioning(he(), (None, "data")),
}
CELL = {"features": 5, "param_dtype": jnp.float16, "kernel_init": he()}
FP8 = {"amax_history_length": 16}


# Since Flax 0.10.4.
EINSUM = {"preferred_element_type": jnp.float32}
EINSUM = {k: v for k, v in EINSUM.items() if hasattr(nn.Einsum, k)}
NORM = {"epsilon": 1e-3, "dtype": "float16", "scale_init": nn.initializers.constant(0.5)}
CASES = {
    "BatchNorm": lambda: nn.BatchNorm(
        **NORM, use_running_average=True, axis=(-1, -2), axis_name="i"
    ),
    "Bidirectional": lambda: nn.Bidirectional(nn.RNN(nn.GRUCell(3)), nn.RNN(nn.GRUCell(3))),
    "Conv": lambda: nn.Conv(**CONV, feature_group_count=2, precision=("high", "default")),
    "ConvLSTMCell": lambda: nn.ConvLSTMCell(4, (3, 3), carry_init=nn.initializers.normal(0.1)),
    "ConvLocal": lambda: nn.ConvLocal(**CONV, input_dilation=2),
    "ConvTranspose": lambda: nn.ConvTranspose(**CONV, transpose_kernel=True),
    "Dense": lambda: nn.Dense(3, use_bias=False, dtype=jnp.bfloat16, kernel_init=he(), name="head"),
    "DenseGeneral": lambda: nn.DenseGeneral((2, 3), axis=(-2, -1), batch_dims=(0,)),
    "Dropout": lambda: nn.Dropout(0.25, broadcast_dims=(1,), rng_collection="noise"),
    "Einsum": lambda: nn.Einsum((3, 4), "...a,ab->...b", **EINSUM),
    "Embed": lambda: nn.Embed(100, 16, embedding_init=nn.initializers.uniform(0.2)),
    "Fp8DirectDotGeneralOp": lambda: nn.Fp8DirectDotGeneralOp(**FP8),
    "Fp8DotGeneral": lambda: nn.Fp8DotGeneral(**FP8),
    "Fp8DotGeneralOp": lambda: nn.Fp8DotGeneralOp(**FP8),
    "Fp8Einsum": lambda: nn.Fp8Einsum(**FP8, e4m3_dtype=jnp.float8_e4m3fn),
    "GRUCell": lambda: nn.GRUCell(**CELL, gate_fn=nn.hard_sigmoid),
    "GeGLU": lambda: nn.GeGLU(3),  # in Flax 0.10.0 and 0.10.1 alone
    "GroupNorm": lambda: nn.GroupNorm(**NORM, num_groups=None, group_size=4),
    "InstanceNorm": lambda: nn.InstanceNorm(**NORM, feature_axes=(-1,)),
    "LSTMCell": lambda: nn.LSTMCell(**CELL, activation_fn=nn.relu),
    "LayerNorm": lambda: nn.LayerNorm(**NORM, reduction_axes=(-2, -1)),
    "MGUCell": lambda: nn.MGUCell(**CELL, reset_gate=False),
    "MultiHeadAttention": lambda: nn.MultiHeadAttention(**ATTENTION),
    "MultiHeadDotProductAttention": lambda: nn.MultiHeadDotProductAttention(**ATTENTION),
    "NANOOFp8DotGeneralOp": lambda: nn.NANOOFp8DotGeneralOp(**FP8),
    "OptimizedLSTMCell": lambda: nn.OptimizedLSTMCell(**CELL),
    "PReLU": lambda: nn.PReLU(negative_slope_init=nn.initializers.constant(0.3)),
    "RMSNorm": lambda: nn.RMSNorm(**NORM),
    "RNN": lambda: nn.RNN(nn.LSTMCell(3), reverse=True, split_rngs={"params": True}),
    "RNNCellBase": lambda: nn.RNNCellBase(),
    "SelfAttention": lambda: nn.SelfAttention(**ATTENTION),
    "Sequential": lambda: nn.Sequential([nn.Dense(3), nn.relu, nn.Dropout(0.5), jnp.tanh]),
    "SimpleCell": lambda: nn.SimpleCell(**CELL, residual=True),
    "SpectralNorm": lambda: nn.SpectralNorm(nn.Conv(**CONV), n_steps=3),
    "WeightNorm": lambda: nn.WeightNorm(nn.Dense(3), variable_filter={"kernel"}),
}


def _public_classes():
    return {
        name
        for name, value in vars(nn).items()
        if isinstance(value, type) and issubclass(value, nn.Module) and value is not nn.Module
    }


def test_every_public_module_class_has_a_case():
    assert sorted(_public_classes() - CASES.keys()) == []


@pytest.mark.filterwarnings("ignore:The Fp8DotGeneralOp:DeprecationWarning")
@pytest.mark.parametrize("name", sorted(_public_classes() & CASES.keys()))
def test_a_public_module_comes_back_the_same(name, trip, same):
    module = CASES[name]()
    assert same(trip(module), module)


@pytest.mark.filterwarnings("ignore:The Fp8DotGeneralOp:DeprecationWarning")
@pytest.mark.parametrize("name", sorted(_public_classes() & CASES.keys()))
def test_a_public_module_with_default_functions_comes_back_equal(name, trip):
    required = {
        "Bidirectional": {
            "forward_rnn": nn.RNN(nn.GRUCell(3)),
            "backward_rnn": nn.RNN(nn.GRUCell(3)),
        },
        "Conv": {"features": 3, "kernel_size": (3,)},
        "ConvLSTMCell": {"features": 3, "kernel_size": (3,)},
        "ConvLocal": {"features": 3, "kernel_size": (3,)},
        "ConvTranspose": {"features": 3, "kernel_size": (3,)},
        "Dropout": {"rate": 0.5},
        "Einsum": {"shape": (2, 3)},
        "Embed": {"num_embeddings": 3, "features": 4},
        "RNN": {"cell": nn.GRUCell(3)},
        "Sequential": {"layers": (nn.Dense(3), nn.gelu)},
        "SpectralNorm": {"layer_instance": nn.Dense(3)},
        "WeightNorm": {"layer_instance": nn.Dense(3)},
    }
    cls = getattr(nn, name)
    arguments = required.get(name, {})
    for field in ("features", "num_heads"):
        if field in cls.__dataclass_fields__ and name not in required:
            arguments = {**arguments, field: 4}
    module = cls(**arguments)
    assert trip(module) == module


def test_a_model_that_came_back_computes_the_same_bits(trip):
    class Net(nn.Module):
        block: nn.Module
        head: type[nn.Module] = nn.Dense

        @nn.compact
        def __call__(self, x):
            return self.head(3)(nn.relu(self.block(x)))

    net = Net(nn.Sequential([nn.Dense(4, kernel_init=he()), nn.LayerNorm()]))
    x = jnp.ones((2, 5))
    variables = net.init(jax.random.key(0), x)
    again = trip(net)
    for ours, theirs in zip(
        *(map(jax.tree.leaves, (variables, again.init(jax.random.key(0), x)))), strict=True
    ):
        assert (ours == theirs).all()
    assert (net.apply(variables, x) == again.apply(variables, x)).all()


def test_the_parent_is_left_out_and_a_name_is_kept_where_there_is_one():
    assert "parent" not in json.dumps(encode_module(nn.Dense(3)))
    assert "name" not in dict(encode_module(nn.Dense(3))["root"]["fields"])
    assert dict(encode_module(nn.Dense(3, name="head"))["root"]["fields"])["name"] == "head"


@pytest.mark.law("S1")
def test_a_file_that_stores_every_field_still_loads():
    fields = [["features", 3], ["use_bias", True], ["dtype", None], ["precision", None]]
    fields += [["param_dtype", {"$type": "class", "name": "jax.numpy:float32"}]]
    root = {"$type": "module", "class": "flax.linen:Dense", "fields": fields}
    stored = {"$type": "flaxlayer.module", "version": 1, "root": root}
    assert decode_module(stored) == nn.Dense(3)


def test_a_module_has_no_parent_when_it_is_loaded_inside_a_method_of_another():
    stored = encode_module(nn.Sequential([nn.Dense(3)]))

    class Outer(nn.Module):
        @nn.compact
        def __call__(self, x):
            inner = decode_module(stored)
            assert inner.parent is None
            assert inner.layers[0].parent is None
            return x

    assert Outer().init(jax.random.key(0), jnp.ones(2)) == {}


def test_keras_finds_nothing_to_interpret():
    class Tricky(nn.Module):
        class_name: str
        config: dict

    text = json.dumps(encode_module(Tricky("Dense", {"class_name": "Dense", "config": {}})))
    assert '"class_name":' not in text
    assert '"config":' not in text


def test_a_constructor_that_refuses_is_reported_with_its_reason():
    class Positive(nn.Module):
        size: int

        def __post_init__(self):
            if self.size < 0:
                raise ValueError("size must not be negative")
            super().__post_init__()

    stored = encode_module(Positive(1))
    stored["root"]["fields"][0][1] = -1
    with pytest.raises(DecodeModuleError, match=r"ValueError: .*size must not be negative"):
        decode_module(stored)


def wrap(root):
    return {"$type": "flaxlayer.module", "version": 1, "root": root}


@pytest.fixture(autouse=True)
def _own_world(monkeypatch):
    monkeypatch.setattr(world, "_registered", {})
    monkeypatch.setattr(world, "_remembered", {})


def test_unknown_and_missing_fields_list_what_the_class_takes():
    stored = encode_module(nn.Dropout(0.5))
    stored["root"]["fields"].append(["command", 1])
    with pytest.raises(DecodeModuleError) as caught:
        decode_module(stored)
    assert str(caught.value).splitlines() == [
        "Cannot load module.",
        "Expected: the fields of Dropout: rate (required), broadcast_dims, deterministic, "
        "rng_collection, name",
        "Found: unknown: ['command']",
        "Fix: Load it with the version of Dropout that it was stored with.",
        "Law: S2",
    ]
    with pytest.raises(DecodeModuleError, match=r"missing: \['rate'\]"):
        decode_module(wrap({"$type": "module", "class": "flax.linen:Dropout", "fields": []}))


def test_a_field_that_a_later_version_added_takes_its_default():
    root = {"$type": "module", "class": "flax.linen:Dropout", "fields": [["rate", 0.5]]}
    assert decode_module(wrap(root)) == nn.Dropout(0.5)


# Since JAX 0.4.36.
ALGORITHMS = (
    [jax.lax.DotAlgorithmPreset.F16_F16_F32] if hasattr(jax.lax, "DotAlgorithmPreset") else []
)


class Colour(enum.Enum):
    RED = 1
    ALIAS = 1
    BLUE = "blue"


class Bits(enum.Flag):
    A = 1
    B = 2


class Pair(typing.NamedTuple):
    left: object
    right: object = 2


@dataclasses.dataclass(frozen=True)
class Options:
    size: int
    rest: object = dataclasses.field(default_factory=list)
    made: int = dataclasses.field(init=False, default=7)


@flax.struct.dataclass
class State:
    count: int
    label: str = flax.struct.field(pytree_node=False, default="a")


@pytest.mark.parametrize(
    "value", [*Colour, Pair(1, (2,)), Options(3, {"a": [None]}), State(2), nn.DenyList("a")]
)
def test_members_and_records_come_back_equal(value, trip_value):
    assert trip_value(value) == value


@pytest.mark.parametrize(
    "value",
    [
        jax.lax.ConvDimensionNumbers((0, 1), (2, 3), (4, 5)),
        *ALGORITHMS,
        jax.lax.GatherScatterMode.CLIP,
        (((1,), (0,)), ((), ())),
    ],
    ids=repr,
)
def test_the_constants_of_jax_lax_come_back_equal(value, trip_value):
    assert trip_value(value) == value


def test_a_combined_flag_is_refused():
    with pytest.raises(EncodeModuleError, match="Hold its members in a tuple"):
        encode_value(Bits.A | Bits.B, path="flags")
