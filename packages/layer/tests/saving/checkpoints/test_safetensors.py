"""Files of safetensors are trees whose names are joined, and nothing but names and arrays (W2, S3).

Files that ask for much, or lie, are in `test_msgpack.py` beside those of msgpack.
"""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.flax import save_file as save_jax
from safetensors.numpy import save_file

from flaxlayer import read_variables
from flaxlayer.saving.checkpoints.safetensors import read_safetensors


@pytest.mark.law("S3")
def test_names_of_paths_are_only_names(tmp_path):
    names = {"params/../../x": np.ones(1), "params//etc/passwd": np.ones(1), "/": np.ones(1)}
    save_file(names, tmp_path / "m.safetensors")
    tree = read_variables(tmp_path / "m.safetensors")
    assert sorted(tree) == ["", "params"]
    assert sorted(tree["params"]) == ["", ".."]


@pytest.mark.law("W2")
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("params/Dense_0/kernel", ("params", "Dense_0", "kernel")),
        ("params.Dense_0.kernel", ("params", "Dense_0", "kernel")),
        ("params/a.b/kernel", ("params", "a.b", "kernel")),
        ("params/a%2Fb/kernel", ("params", "a/b", "kernel")),
        ("kernel", ("kernel",)),
    ],
)
def test_names_are_joined_by_slashes_where_there_is_one_and_else_by_dots(name, path, tmp_path):
    save_file({name: np.arange(3)}, tmp_path / "m.safetensors")
    node = read_safetensors(tmp_path / "m.safetensors")
    for part in path:
        node = node[part]
    np.testing.assert_array_equal(node, np.arange(3))


@pytest.mark.law("W2")
@pytest.mark.parametrize(
    "dtype",
    [
        "bool",
        "uint8",
        "uint16",
        "uint32",
        "int8",
        "int16",
        "int32",
        "float16",
        "bfloat16",
        "float32",
        "complex64",
        "float8_e4m3fn",
        "float8_e5m2",
    ],
)
def test_arrays_of_jax_come_back_to_the_bit(dtype, tmp_path, same_bits):
    array = jnp.asarray(np.arange(6).reshape(2, 3) % 2, dtype)
    save_jax({"params/kernel": array}, tmp_path / "m.safetensors")
    same_bits(read_variables(tmp_path / "m.safetensors"), {"params": {"kernel": array}})


@pytest.mark.law("W2")
@pytest.mark.parametrize("dtype", ["float64", "int64", "uint64"])
def test_arrays_of_64_bits_come_back_too(dtype, tmp_path):
    array = np.array([1, 2**40], dtype)
    save_file({"params/kernel": array}, tmp_path / "m.safetensors")
    found = read_variables(tmp_path / "m.safetensors")["params"]["kernel"]
    assert found.dtype == dtype
    assert found.tolist() == array.tolist()


@pytest.mark.law("W2")
@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a")], ids=json.dumps)
def test_a_name_that_begins_another_is_refused(names, tmp_path):
    save_file({name: np.ones(1) for name in names}, tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="beginning"):
        read_safetensors(tmp_path / "m.safetensors")
