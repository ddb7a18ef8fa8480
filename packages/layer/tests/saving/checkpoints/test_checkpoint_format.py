"""A format of checkpoints is what a `CheckpointFormat` says, and nothing else knows of it (W2)."""

import dataclasses
from pathlib import Path

import flax.linen as nn
import jax
import numpy as np
import pytest
from flax import traverse_util

from flaxlayer import FlaxLayer, read_variables
from flaxlayer.saving.checkpoints import registry
from flaxlayer.saving.checkpoints.checkpoint_format import CheckpointFormat, NotOfFormatError
from flaxlayer_core import ImportExtraError, MatchVariablesError, ReadVariablesError

pytestmark = pytest.mark.law("W2")

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32).reshape(2, 4)


def _read(path, choose, check):
    with np.load(path) as arrays:
        if "params/kernel" not in arrays:
            raise NotOfFormatError("an array of params", ", ".join(arrays))
        tree = traverse_util.unflatten_dict(dict(arrays), sep="/")
    if check is not None:
        check(tree)
    return choose(tree)


NPZ = CheckpointFormat(
    writer="numpy.savez",
    contents="a file of numpy.savez",
    extra="npz",
    claims=lambda path: path.suffix == ".npz",
    read=_read,
)


@pytest.fixture(autouse=True)
def npz(monkeypatch):
    """Adds a format of a program of which nothing else here knows."""
    monkeypatch.setattr(registry, "FORMATS", (*registry.FORMATS, NPZ))


@pytest.fixture
def layer():
    layer = FlaxLayer(nn.Dense(2))
    layer(X)
    return layer


def test_another_format_is_read_as_those_that_are_known(layer, tmp_path, same_bits):
    variables = nn.Dense(2).init(jax.random.key(4), X)
    np.savez(tmp_path / "file.npz", **traverse_util.flatten_dict(variables, sep="/"))
    same_bits(read_variables(tmp_path / "file.npz"), jax.tree.map(np.asarray, variables))
    layer.load_flax_variables(tmp_path / "file.npz")
    same_bits(layer.flax_variables(), variables)


def test_what_does_not_fit_is_found_by_the_check_that_a_format_asks(layer, tmp_path, same_bits):
    before = jax.tree.map(np.array, layer.flax_variables())
    np.savez(tmp_path / "file.npz", **{"params/kernel": np.ones((3, 3), np.float32)})
    with pytest.raises(MatchVariablesError, match=r"params/kernel: shape \[3,3\]"):
        layer.load_flax_variables(tmp_path / "file.npz")
    same_bits(layer.flax_variables(), before)


def test_another_format_is_named_where_a_file_of_it_is_damaged(tmp_path):
    (tmp_path / "file.npz").write_bytes(b"noise")
    with pytest.raises(ReadVariablesError) as caught:
        read_variables(tmp_path / "file.npz")
    assert caught.value.expected == "a file of numpy.savez"
    writers = "flax.serialization.to_bytes, safetensors, Orbax, or numpy.savez"
    assert caught.value.fix == f"Save with {writers}, and pass that path."


def test_what_a_format_did_not_find_is_told_in_its_words(tmp_path):
    np.savez(tmp_path / "file.npz", other=np.ones(2))
    with pytest.raises(ReadVariablesError) as caught:
        read_variables(tmp_path / "file.npz")
    assert (caught.value.expected, caught.value.found) == ("an array of params", "other")


def test_a_reader_that_is_missing_names_the_extra_of_the_format(tmp_path, monkeypatch):
    def missing(path, choose, check):
        message = "No module named 'npz'"
        raise ImportError(message)

    lacking = dataclasses.replace(NPZ, read=missing)
    monkeypatch.setattr(registry, "FORMATS", (*registry.FORMATS, lacking))
    Path(tmp_path / "file.npz").write_bytes(b"")
    with pytest.raises(ImportExtraError) as caught:
        read_variables(tmp_path / "file.npz")
    assert caught.value.fix == "pip install 'flaxlayer[npz]'"
