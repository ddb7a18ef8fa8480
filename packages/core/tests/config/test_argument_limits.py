"""Integers of a file: ranges count their length, sizes, axes and counts have bounds (S3)."""

import dataclasses
import functools
import json

import flax.linen as nn
import jax
import numpy as np
import pytest
from flax import nnx

from flaxlayer_core import DecodeModuleError, EncodeModuleError
from flaxlayer_core.config import (
    Limits,
    check_bounds,
    decode_module,
    decode_value,
    encode_module,
    encode_value,
    remember,
)

pytestmark = pytest.mark.law("S3")


def integer(value):
    return value if abs(value) < 1 << 63 else {"$type": "int", "hex": hex(value)}


def stored_range(stop, start=0, step=1):
    parts = {"start": start, "stop": stop, "step": step}
    return {"$type": "range", **{key: integer(part) for key, part in parts.items()}}


def module(name, /, **fields):
    return {
        "$type": "module",
        "class": name if isinstance(name, dict) else f"flax.linen:{name}",
        "fields": [[key, value] for key, value in fields.items()],
    }


def lifted(transform, **arguments):
    methods = [["__call__", [[key, value] for key, value in arguments.items()]]]
    return {
        "$type": "lifted",
        "transform": transform,
        "class": "flax.linen:Dense",
        "methods": methods,
    }


def partial(func, *args, **keywords):
    return {
        "$type": "partial",
        "tree": False,
        "func": func,
        "args": list(args),
        "keywords": [[key, value] for key, value in keywords.items()],
    }


def of(kind, *items):
    return {"$type": kind, "items": list(items)}


def named(kind, name):
    return {"$type": kind, "name": name}


LONG = {
    "many": stored_range(1 << 40),
    "more than fit a machine word": stored_range(1 << 80),
    "downwards": stored_range(-(1 << 60), step=-1),
    "in large steps": stored_range(1 << 80, step=1 << 40),
    "from far below": stored_range(0, start=-(1 << 62)),
}
PLACES = {
    "alone": lambda value: value,
    "a field": lambda value: module("Dense", features=3, name=value),
    "an axis list": lambda value: module("LayerNorm", reduction_axes=value),
    "a list of layers": lambda value: module("Sequential", layers=value),
    "an item": lambda value: of("set", value),
    "a key": lambda value: of("dict", [value, 1]),
    "an argument": lambda value: partial(named("function", "jax.numpy:sum"), axis=value),
    "names of a policy": lambda value: {
        "$type": "closure",
        "factory": "jax.checkpoint_policies:save_only_these_names",
        "arguments": [["names_which_can_be_saved", value]],
    },
    "a filter": lambda value: module(lifted("checkpoint", variables=value, rngs=value), features=3),
    "a key of a transform": lambda value: module(
        lifted(
            "vmap",
            variable_axes=of("dict", ["params", 0]),
            split_rngs=of("dict", [value, True]),
        ),
        features=3,
    ),
    "axes of a spec": lambda value: of("partition_spec", value),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("length", LONG)
def test_a_long_range_is_refused_wherever_it_stands(length, place):
    with pytest.raises(DecodeModuleError, match="100000 values") as caught:
        decode_value(PLACES[place](LONG[length]), path="value")
    assert caught.value.law == "S3"
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("name", ["short", "empty", "downwards", "step"])
def test_a_range_counts_as_many_values_as_it_has(name):
    held = {
        "short": range(900),
        "empty": range(5, 5),
        "downwards": range(900, 0, -1),
        "step": range(0, 2700, 3),
    }[name]
    stored = encode_value(held, path="value")
    assert decode_value(stored, path="value") == held
    check_bounds(stored, Limits(nodes=len(held) + 5))
    with pytest.raises(DecodeModuleError, match="values"):
        check_bounds(stored, Limits(nodes=len(held) + 3))


def test_a_range_counts_again_where_its_module_stands_again():
    node = module("Dense", features=3, name=stored_range(60_000)) | {"id": 0}
    with pytest.raises(DecodeModuleError, match="counted at each place"):
        decode_value([node, {"$type": "ref", "id": 0}], path="value")


@pytest.mark.parametrize(
    "held", [range(1 << 40), [range(60_000), range(60_000)]], ids=["one", "two"]
)
def test_what_would_not_load_is_not_written(held):
    with pytest.raises(EncodeModuleError, match="100000 values"):
        encode_value(held, path="value")


def repeated(size, times):
    """A few values that references make many of."""
    layers = [{"$type": "function", "name": "jax.nn:relu"}] * size
    block = module("Sequential", layers=layers) | {"id": 0}
    return module("Sequential", layers=[block, *[{"$type": "ref", "id": 0}] * times])


def test_references_make_little_of_a_short_file():
    with pytest.raises(DecodeModuleError, match="references that repeat at most") as caught:
        decode_value(repeated(200, 300), path="value")
    assert caught.value.law == "S3"
    decode_value(repeated(200, 30), path="value")


def test_a_block_that_stands_in_a_model_many_times_is_stored():
    block = nn.Sequential([nn.Dense(3), nn.LayerNorm(), nn.relu, nn.Dropout(0.1)] * 4)
    stored = encode_module(nn.Sequential([block] * 96))
    loaded = decode_module(stored).layers
    assert len({id(layer) for layer in loaded}) == 1


def test_references_that_would_not_load_are_not_written():
    block = nn.Sequential([nn.relu] * 300)
    with pytest.raises(EncodeModuleError, match="references that repeat at most"):
        encode_module(nn.Sequential([block] * 300))


HUGE = [1 << 33, -(1 << 33), 10**30, -(10**30), 1 << 8_000]
FIELDS = {
    "Dense": ["features"],
    "DenseGeneral": ["features", "axis", "batch_dims"],
    "Conv": ["kernel_size", "strides", "padding", "input_dilation", "kernel_dilation"],
    "ConvTranspose": ["kernel_size", "strides", "padding", "kernel_dilation"],
    "Embed": ["num_embeddings", "features"],
    "MultiHeadDotProductAttention": ["num_heads", "qkv_features", "out_features"],
    "BatchNorm": ["axis"],
    "GroupNorm": ["num_groups", "group_size", "reduction_axes"],
    "LayerNorm": ["reduction_axes", "feature_axes"],
    "SpectralNorm": ["n_steps"],
    "RNN": ["unroll"],
    "Dropout": ["broadcast_dims"],
    "Einsum": ["shape"],
}
REQUIRED = {
    "Dense": {"features": 3},
    "DenseGeneral": {"features": 3},
    "Conv": {"features": 3, "kernel_size": 3},
    "ConvTranspose": {"features": 3, "kernel_size": 3},
    "Embed": {"num_embeddings": 3, "features": 3},
    "MultiHeadDotProductAttention": {"num_heads": 3},
    "SpectralNorm": {"layer_instance": module("Dense", features=3)},
    "RNN": {"cell": module("GRUCell", features=3)},
    "Dropout": {"rate": 0.5},
    "Einsum": {"shape": of("tuple", 4, 3)},
}


@pytest.mark.parametrize("size", HUGE, ids=["large", "negative", "huge", "hugely negative", "bits"])
@pytest.mark.parametrize(
    ("name", "field"), [(name, field) for name, fields in FIELDS.items() for field in fields]
)
def test_a_size_of_a_class_of_flax_is_bounded(name, field, size):
    for value in (integer(size), of("tuple", integer(size)), [[1, integer(size)]]):
        with pytest.raises(DecodeModuleError, match=f"{field} of at most") as caught:
            decode_value(module(name, **REQUIRED.get(name, {}) | {field: value}), path="value")
        assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize(
    "node",
    [
        partial(named("class", "flax.linen:DenseGeneral"), 3, -1, of("tuple", 1 << 40)),
        partial(named("class", "flax.linen:DenseGeneral"), 3, batch_dims=of("tuple", 1 << 40)),
        partial(
            partial(named("class", "flax.linen:DenseGeneral"), 3), batch_dims=of("tuple", 1 << 40)
        ),
        partial(named("class", "flax.nnx:Linear"), 3, 1 << 40),
        partial(named("class", "flax.nnx:Conv"), 3, 4, kernel_size=1 << 40),
        partial(
            named("class", "flax.nnx:LinearGeneral"), 3, 4, batch_axis=of("dict", [1 << 40, 2])
        ),
        module(lifted("checkpoint"), features=1 << 40),
        module("DenseGeneral", features=3, batch_dims=stored_range((1 << 40) + 2, start=1 << 40)),
        module(
            "DenseGeneral",
            features=3,
            batch_dims={
                "$type": "array",
                "form": "numpy",
                "dtype": "int64",
                "shape": [1],
                "data": "AAAAAAABAAA=",
            },
        ),
    ],
    ids=[
        "position",
        "keyword",
        "twice",
        "nnx",
        "nnx keyword",
        "nnx axis",
        "lifted",
        "range",
        "array",
    ],
)
def test_a_size_is_bounded_however_it_is_given(node):
    with pytest.raises(DecodeModuleError, match="of at most"):
        decode_value(node, path="value")


def test_a_size_of_a_class_that_derives_from_one_of_flax_is_bounded():
    class Wide(nn.DenseGeneral):
        seed: int = 0

    remember(Wide)
    stored = encode_module(Wide(3, seed=1 << 70))
    assert decode_module(stored).seed == 1 << 70
    stored["root"]["fields"].append(["batch_dims", of("tuple", 1 << 40)])
    with pytest.raises(DecodeModuleError, match="batch_dims of at most"):
        decode_module(stored)


class Deep(nn.Module):
    num_layers: int = 1
    n_blocks: int = 1
    encoder_num_hidden_layers: int = 1
    layers: object = ()
    n_steps: int = 1
    block_size: int = 1

    @nn.compact
    def __call__(self, x):
        for _ in range(self.num_layers):
            x = nn.Dense(3)(x)
        return x


@dataclasses.dataclass
class Sizes:
    num_layers: int = 1


def build(num_layers):
    return Deep(num_layers)


@pytest.mark.parametrize("name", ["num_layers", "n_blocks", "encoder_num_hidden_layers", "layers"])
def test_a_number_of_layers_is_bounded_in_any_class(name):
    remember(Deep())
    stored = encode_module(Deep(**{name: 96}))
    assert getattr(decode_module(stored), name) == 96
    stored["root"]["fields"] = [[name, 10**9]]
    with pytest.raises(DecodeModuleError, match=f"{name} of at most 10000"):
        decode_module(stored)


@pytest.mark.parametrize(
    "made", [Sizes(10**9), functools.partial(build, num_layers=10**9)], ids=type
)
def test_a_number_of_layers_is_bounded_however_it_is_given(made):
    remember(Deep(layers=(Sizes(), build)))
    with pytest.raises(EncodeModuleError, match="num_layers of at most 10000"):
        encode_value(made, path="value")


def test_other_counts_of_other_classes_are_theirs():
    remember(Deep())
    made = Deep(n_steps=10**9, block_size=10**12)
    assert decode_module(encode_module(made)) == made


@pytest.mark.parametrize(
    "optimize", [True, "optimal", "branch-all", "branch-2", ["einsum_path"]], ids=str
)
def test_an_order_of_many_operands_is_not_looked_for_among_all(optimize):
    subscripts = ",".join("ab" for _ in range(20)) + "->ab"
    einsum = named("function", "jax.numpy:einsum")
    with pytest.raises(DecodeModuleError, match="optimize among"):
        decode_value(partial(einsum, subscripts, optimize=optimize), path="value")
    with pytest.raises(DecodeModuleError, match="optimize among"):
        decode_value(partial(einsum, *[1] * 20, optimize=optimize), path="value")
    decode_value(partial(einsum, "ab,bc->ac", optimize=optimize), path="value")
    decode_value(partial(einsum, subscripts, optimize="greedy"), path="value")
    decode_value(partial(einsum, subscripts), path="value")


@pytest.mark.parametrize("padding", ["CIRCULAR", "REFLECT"])
@pytest.mark.parametrize("field", ["kernel_size", "kernel_dilation"])
def test_a_padding_that_copies_the_input_is_bounded(padding, field):
    fields = {"features": 3, "kernel_size": 3, "padding": padding}
    with pytest.raises(DecodeModuleError, match="padded kernel"):
        decode_value(module("Conv", **fields | {field: 60_000}), path="value")
    decode_value(module("Conv", **fields | {field: 5_000}), path="value")


@pytest.mark.parametrize(
    "made",
    [nn.Dense(1 << 40), functools.partial(nnx.Linear, 3, 1 << 40)],
    ids=["module", "partial"],
)
def test_a_size_that_would_not_load_is_not_written(made):
    with pytest.raises(EncodeModuleError, match="of at most") as caught:
        encode_module(made)
    assert caught.value.law == "S3"


class Honest(nn.Module):
    held: object = None

    @nn.compact
    def __call__(self, x):
        return x


@pytest.mark.parametrize(
    "value",
    [
        (1 << 64) - 1,
        -(1 << 63),
        hash("a") ** 4,
        1 << 4_096,
        nn.Embed(262_144, 1_024),
        nn.Sequential([1 << 40]),
        nn.Dense(1 << 20),
        nn.Conv(8, (4_097,), padding=4_096, kernel_dilation=512),
        nn.Dropout(0.1, broadcast_dims=(-1, -2)),
        nn.RNN(nn.GRUCell(3), unroll=2_000),
        range(10_000),
        range(1 << 63, (1 << 63) + 3),
        functools.partial(jax.numpy.clip, min=-(1 << 40), max=1 << 40),
        functools.partial(nn.Dense, 3, use_bias=False),
        np.uint64((1 << 64) - 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_models_hold_loads(value):
    remember(Honest())
    stored = json.loads(json.dumps(encode_module(Honest(value))))
    held = decode_module(stored).held
    assert type(held) is type(value)
    assert encode_value(held, path="value") == encode_value(value, path="value")


def test_no_size_that_loads_makes_a_trace_without_end(within_limits):
    """All the ways known in which Flax counts through an integer, at the largest that loads."""
    code = """
import itertools
import flax.linen as nn, jax, numpy as np
from flaxlayer_core import FlaxLayerError
from flaxlayer_core.config import decode_module, encode_module
x = np.zeros((2, 8, 3), np.float32)
sizes = [1_000, 1 << 14, 1 << 16]
made = [
    (nn.DenseGeneral(3, batch_dims=(size,)), x) for size in sizes
] + [
    (nn.SpectralNorm(nn.Dense(3), n_steps=size), x) for size in sizes
] + [
    (nn.Conv(3, kernel, padding=padding, kernel_dilation=dilation), x)
    for kernel, dilation in itertools.product([3, *sizes], [1, *sizes])
    for padding in ("CIRCULAR", "REFLECT")
]
loaded = 0
for module, inputs in made:
    try:
        module = decode_module(encode_module(module))
    except FlaxLayerError:
        continue
    loaded += 1
    options = {"update_stats": True} if isinstance(module, nn.SpectralNorm) else {}
    try:
        jax.eval_shape(lambda key: module.init(key, inputs, **options), jax.random.key(0))
    except (ValueError, TypeError):
        pass
    except RuntimeError as error:
        assert "got REFLECT" in str(error), error  # Flax 0.10 has no such padding
print(loaded)
"""
    assert int(within_limits(code, cpu_seconds=120)) >= 6
