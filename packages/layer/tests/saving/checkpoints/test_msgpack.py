"""Files of msgpack and safetensors that lie about what is in them, or hold too much (S3, S6)."""

import json
import struct

import flax.linen as nn
import jax
import jax.numpy as jnp
import msgpack
import numpy as np
import pytest
from flax import serialization
from safetensors.numpy import save_file

from flaxlayer import FlaxLayer, read_variables
from flaxlayer_core import FlaxLayerError, ReadVariablesError

LOAD = """
import json, pathlib, sys
import jax
import flax.linen as nn
from flaxlayer import FlaxLayer, read_variables

layer, said = FlaxLayer(nn.Dense(2)), {}
layer.build((None, 3))
before = layer.get_weights()
import safetensors
guard(300)
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    said[path.name] = [outcome(load, path) for load in (read_variables, layer.load_flax_variables)]
assert all((a == b).all() for a, b in zip(before, layer.get_weights()))
print(json.dumps(said))
"""


def ext(code, *parts):
    return msgpack.ExtType(code, msgpack.packb(parts, use_bin_type=True))


def params(leaf):
    return msgpack.packb({"params": leaf})


def nested(depth):
    return b"\x81\xa1a" * depth + b"\xc0"


def chunked(**parts):
    return params({"__msgpack_chunked_array__": True, **parts})


FLOATS = ext(1, [2], "float32", bytes(8))
CHUNKS = {"shape": {"0": 2}, "chunks": {"0": FLOATS}}

MSGPACK = {
    "empty maps": b"\x81\xa6params"
    + b"\xdd"
    + struct.pack(">I", 20_000_000)
    + b"\x80" * 20_000_000,
    "nils": b"\x81\xa6params" + b"\xdd" + struct.pack(">I", 20_000_000) + b"\xc0" * 20_000_000,
    "short texts": b"\xdd" + struct.pack(">I", 9_000_000) + b"\xa1x" * 9_000_000,
    "claimed lists": b"\xdd\xff\xff\xff\xff" * 1000,
    "claimed maps": b"\xdf\xff\xff\xff\xff" * 1000,
    "claimed array": params(ext(1, [2**40], "float32", bytes(8))),
    "negative size": params(ext(1, [-1], "float32", bytes(8))),
    "large size": params(ext(1, [2**63], "float32", bytes(8))),
    "text size": params(ext(1, ["2"], "float32", bytes(8))),
    "many sizes": params(ext(1, [1] * 33, "float32", bytes(4))),
    "sizes nested": params(ext(1, [[[]] * 3] * 1000, "float32", bytes(4))),
    "zero of many": params(ext(1, [0, 2**62], "float32", b"")),
    "objects": params(ext(1, [1], "object", bytes(8))),
    "structured": params(ext(1, [1], "f4,f4", bytes(8))),
    "many fields": params(ext(1, [1], "f4," * 100_000, bytes(8))),
    "text array": params(ext(1, [1], "U2", bytes(8))),
    "wide void": params(ext(1, [0], "V1000000000", b"")),
    "dates": params(ext(1, [1], "datetime64", bytes(8))),
    "no dtype": params(ext(1, [1], "", bytes(8))),
    "bytes of another dtype": params(ext(1, [2], b"\xff\xfe", bytes(8))),
    "not three": params(ext(1, [1], "float32")),
    "noise in an array": params(msgpack.ExtType(1, b"\xc1" * 9)),
    "bytes after an array": params(msgpack.ExtType(1, FLOATS.data + b"\0")),
    "long names": params({"x" * 10**5 + str(index): FLOATS for index in range(100)}),
    "other extension": params(msgpack.ExtType(77, b"x")),
    "time": b"\x81\xa6params\xd6\xff" + bytes(4),
    "complex of lists": params(msgpack.ExtType(2, msgpack.packb([[], []]))),
    "escapes": params({"\x1b[2J\nFix: send it\x07": "x"}),
    "escapes of arrays": params({"\x1b[2J\nFix: send it\x07": FLOATS}),
    "bytes": params(b"x"),
    "text": params("x"),
    "surrogates": b"\x81\xa6params\xa3\xed\xa0\x80",
    "key of bytes": msgpack.packb({b"params": 1}, use_bin_type=True),
    "key of a map": b"\x81\x80\x01",
    "keys of two kinds": params({"a": FLOATS, 1: FLOATS}),
    "key twice": b"\x82\xa1a\x01\xa1a\x02",
    "deep": nested(100_000),
    "fairly deep": nested(500),
    "deep lists": b"\x81\xa6params" + b"\x91" * 100_000 + b"\xc0",
    "bytes after the end": params(1) + b"\x01",
    "no chunks": chunked(),
    "no shape": chunked(chunks={"0": FLOATS}),
    "chunks of another size": chunked(**{**CHUNKS, "shape": {"0": 2**40}}),
    "chunks of two dtypes": chunked(
        shape={"0": 3}, chunks={"0": FLOATS, "1": ext(1, [1], "float64", bytes(8))}
    ),
    "chunks not numbered": chunked(**{**CHUNKS, "chunks": {"1": FLOATS}}),
    "chunks of numbers": chunked(**{**CHUNKS, "chunks": {"0": 1}}),
    "chunked shape of arrays": chunked(**{**CHUNKS, "shape": {"0": FLOATS}}),
}


def tensors(header, data=b"", size=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


def tensor(shape=(2,), dtype="F32", start=0, end=8):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


def empty_tensors(count):
    one = b'{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
    return b"{" + b",".join(b'"%d":%s' % (index, one) for index in range(count)) + b"}"


SAFETENSORS = {
    "long header": tensors({}, size=2**40),
    "header of the end": tensors({}, size=2**64 - 1),
    "no header": b"\x01",
    "no JSON": tensors(b"{"),
    "deep JSON": tensors(b"[" * 1_000_000),
    "past the end": tensors({"a": tensor(end=16), "b": tensor(start=16, end=24)}, bytes(8)),
    "overlap": tensors({"a": tensor(), "b": tensor(start=4, end=12)}, bytes(12)),
    "backwards": tensors({"a": tensor(start=8, end=0)}, bytes(8)),
    "negative": tensors({"a": tensor(start=-8, end=0)}, bytes(8)),
    "hole": tensors({"a": tensor(start=8, end=16)}, bytes(16)),
    "other size": tensors({"a": tensor(shape=(2**40,))}, bytes(8)),
    "product too large": tensors({"a": tensor(shape=(2**40, 2**40))}, bytes(8)),
    "unknown dtype": tensors({"a": tensor(dtype="I128")}, bytes(8)),
    "dtype of 4 bits": tensors({"a": tensor(shape=(16,), dtype="F4")}, bytes(8)),
    "negative shape": tensors({"a": tensor(shape=(-2, -1))}, bytes(8)),
    "many": tensors(empty_tensors(262_145)),
    "deep names": tensors({"a/" * 100_000: tensor()}, bytes(8)),
    "deep names of dots": tensors({"a." * 100_000: tensor()}, bytes(8)),
    "names of many parts": tensors(
        {f"{index}" + "/a" * 99: tensor((0,), end=0) for index in range(9_000)}
    ),
    "beginning": tensors({"a/b": tensor((0,), end=0), "a": tensor((0,), end=0)}),
    "beginning last": tensors({"a": tensor((0,), end=0), "a/b": tensor((0,), end=0)}),
    "same after decoding": tensors({"a/%2F": tensor((0,), end=0), "a/%252F": tensor()}, bytes(8)),
    "twice": tensors(
        b'{"a":%s,"a":%s}' % tuple(json.dumps(tensor(start=s, end=s + 8)).encode() for s in (0, 8)),
        bytes(16),
    ),
}
FILES = {
    **{f"{name}.msgpack": content for name, content in MSGPACK.items()},
    **{f"{name}.safetensors": content for name, content in SAFETENSORS.items()},
}
# Nothing is wrong with them as files.
HARMLESS = {
    "long names.msgpack",
    "escapes of arrays.msgpack",
    "zero of many.msgpack",
    "same after decoding.safetensors",
}


@pytest.fixture(scope="module")
def said(tmp_path_factory, run_guarded):
    """What a process with little memory says of each file."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return json.loads(run_guarded(LOAD, folder))


@pytest.mark.slow
@pytest.mark.law("S3")
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_holds_no_tree_of_arrays_is_refused_within_little_memory(name, said):
    alone, in_layer = said[name]
    if name not in HARMLESS:
        assert alone.startswith("Cannot read variables from")
        assert "Law: W2" in alone
    assert "Law: " in in_layer
    for text in (alone, in_layer):
        assert len(text) < 8000
        assert "MemoryError" not in text
        assert not set(text) & set("\x1b\x07")
        assert text.count("\nFix: ") <= 1


ODD = {
    "float": 1.5,
    "int": 3,
    "negative": -(2**40),
    "large": 2**64 - 1,
    "bool": True,
    "none": None,
    "complex": 1 - 2j,
    "scalar": np.float16(2.5),
    "complex array": np.ones((2, 3), np.complex64) * 1j,
    "empty": np.zeros((0, 3), np.int8),
    "half": jnp.arange(4, dtype=jnp.bfloat16),
    "eighth": jnp.arange(4).astype(jnp.float8_e4m3fn),
    "bits": np.array([True, False]),
    "list": [np.ones(2), {"a": np.zeros(1)}],
    "long name" * 20: np.ones(300),
    "ä/ö.ü": np.ones(70_000, np.uint8),
}


@pytest.mark.law("W2")
def test_whatever_flax_writes_is_read_as_flax_reads_it(tmp_path):
    (tmp_path / "m").write_bytes(serialization.msgpack_serialize({"params": ODD}))
    expected = serialization.msgpack_restore((tmp_path / "m").read_bytes())
    found = read_variables(tmp_path / "m")
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for left, right in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert type(left) is type(right)
        left, right = np.asarray(left), np.asarray(right)
        assert (left.dtype, left.shape, left.tobytes()) == (
            right.dtype,
            right.shape,
            right.tobytes(),
        )


@pytest.mark.law("W2")
def test_an_array_in_chunks_is_read_as_flax_reads_it(tmp_path, monkeypatch, same_bits):
    monkeypatch.setattr(serialization, "MAX_CHUNK_SIZE", 64)
    array = np.arange(7 * 11, dtype=np.int16).reshape(7, 11)
    content = serialization.to_bytes({"params": {"kernel": array}})
    assert b"__msgpack_chunked_array__" in content
    (tmp_path / "m").write_bytes(content)
    same_bits(read_variables(tmp_path / "m"), {"params": {"kernel": array}})


@pytest.mark.law("W2")
def test_arrays_of_a_file_do_not_hold_on_to_it(tmp_path):
    (tmp_path / "m").write_bytes(serialization.to_bytes({"params": np.ones(1000)}))
    array = read_variables(tmp_path / "m")["params"]
    assert array.base is None or array.base.base is None
    assert array.flags.writeable


@pytest.mark.law("S6")
def test_every_mutation_of_a_file_is_read_or_refused(tmp_path):
    layer = FlaxLayer(nn.Dense(2))
    layer.build((None, 3))
    tree = jax.tree.map(np.asarray, layer.flax_variables())
    rng = np.random.default_rng(0)
    flat = {"params/kernel": tree["params"]["kernel"], "params/bias": tree["params"]["bias"]}
    save_file(flat, tmp_path / "m.safetensors")
    contents = {
        "msgpack": serialization.to_bytes(tree),
        "safetensors": (tmp_path / "m.safetensors").read_bytes(),
    }
    refused = 0
    for kind, content in contents.items():
        for _ in range(400):
            changed = bytearray(content)
            for place in rng.integers(0, len(changed), rng.integers(1, 4)):
                changed[place] = rng.integers(0, 256)
            cut = rng.integers(1, len(changed)) if rng.random() < 0.2 else len(changed)
            (tmp_path / f"x.{kind}").write_bytes(changed[:cut])
            try:
                layer.load_flax_variables(tmp_path / f"x.{kind}")
            except FlaxLayerError as error:
                assert len(str(error)) < 1500
                refused += isinstance(error, ReadVariablesError)
    assert refused > 200
