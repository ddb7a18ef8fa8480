"""Directories of Orbax: what they say of their arrays is looked at before any is read (S3, S6)."""

import json
import os
import shutil
import signal
import subprocess
import sys
from importlib import metadata

import flax.linen as nn
import jax
import keras
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax.training.train_state import TrainState

from flaxlayer import FlaxLayer, read_variables
from flaxlayer_core import FlaxLayerError, MatchVariablesError, ReadVariablesError

ORBAX = tuple(map(int, metadata.version("orbax-checkpoint").split(".")[:3]))
pytestmark = pytest.mark.skipif(ORBAX < (0, 11, 36), reason="the orbax extra asks for a later one")

LOAD = """
import json, pathlib, sys
import orbax.checkpoint
import flax.linen as nn
from flaxlayer import FlaxLayer, read_variables

layer, said = FlaxLayer(nn.Dense(2)), {}
layer.build((None, 3))
before = layer.get_weights()
folder = pathlib.Path(sys.argv[1])
read_variables(folder / "honest")  # its threads
guard(600)
for path in sorted(folder.iterdir()):
    said[path.name] = [outcome(load, path) for load in (read_variables, layer.load_flax_variables)]
print(json.dumps(said))
"""


def write(path, tree):
    handler = ocp.PyTreeCheckpointHandler(use_ocdbt=False)
    with ocp.Checkpointer(handler) as checkpointer:
        checkpointer.save(path.resolve(), args=ocp.args.PyTreeSave(tree))
    return path


def edit_json(path, edit):
    content = json.loads(path.read_text())
    path.write_text(json.dumps(edit(content) or content))


def zarr(**changes):
    """An edit of what is said of the kernel's array."""
    return lambda path: edit_json(
        path / "params.kernel" / ".zarray", lambda content: content.update(changes)
    )


def described(edit):
    """An edit of the metadata of the tree."""
    return lambda path: edit_json(path / "_METADATA", edit)


def renamed(*names):
    keys = [{"key": name, "key_type": 2} for name in names]
    return described(
        lambda content: content["tree_metadata"]["('params', 'kernel')"].update(key_metadata=keys)
    )


def of_type(name):
    def edit(content):
        value = content["tree_metadata"]["('params', 'kernel')"]["value_metadata"]
        value["value_type"] = name

    return described(edit)


def both(*edits):
    return lambda path: [edit(path) for edit in edits]


def many_arrays(content):
    one = content["tree_metadata"]["('params', 'kernel')"]
    content["tree_metadata"] = dict.fromkeys(map(str, range(262_145)), one)


def no_file(path):
    (path / "params.kernel" / ".zarray").unlink()


def noise(path):
    (path / "params.kernel" / "0.0").write_bytes(b"\xff" * 100)


def inflating(path):
    # A frame of Zstandard, of 8,192 blocks that each repeat a byte: 1 GiB.
    block, last = (1 << 1 | (128 << 10) << 3), 1
    blocks = [block] * 8191 + [block | last]
    frame = b"\x28\xb5\x2f\xfd\x00\x58" + b"".join(b.to_bytes(3, "little") + b"\0" for b in blocks)
    (path / "params.kernel" / "0.0").write_bytes(frame)


def pipe(path):
    (path / "params.kernel" / ".zarray").unlink()
    os.mkfifo(path / "params.kernel" / ".zarray")


def endless(path):
    (path / "params.kernel" / "0.0").unlink()
    (path / "params.kernel" / "0.0").symlink_to("/dev/zero")


HUGE = {"shape": [2**17, 2**16], "chunks": [2**10, 2**10]}
HOSTILE = {
    "zeros that are not there": (zarr(**HUGE), "bytes of arrays in"),
    "one large chunk": (zarr(shape=[2**15, 2**15], chunks=[2**15, 2**15]), "bytes of arrays"),
    "chunk larger than the array": (zarr(chunks=[2**14, 2**14]), "chunks of"),
    "many chunks": (zarr(shape=[2**20, 2], chunks=[1, 1]), "chunks of"),
    "a scalar that is none": (both(of_type("scalar"), zarr(**HUGE)), "bytes of arrays in"),
    "an array of JAX": (both(of_type("jax.Array"), zarr(**HUGE)), "bytes of arrays in"),
    "text": (of_type("string"), "which is no array"),
    "unknown type": (of_type("pickle"), ""),
    "records": (zarr(dtype=[["a", "<f4"], ["b", "<f4"]]), ""),
    "objects": (zarr(dtype="|O"), ""),
    "negative shape": (zarr(shape=[-1, 2]), ""),
    "path": (renamed("params", "../../x"), "which is a path"),
    "absolute path": (renamed("/etc/passwd"), "which is a path"),
    "deep": (renamed(*["a"] * 101), "101 names deep"),
    "very deep": (renamed(*["a"] * 100_000), "100,000 names deep"),
    "other key": (renamed(7), ""),
    "many arrays": (described(many_arrays), "262,145 arrays"),
    "deep JSON": (lambda path: (path / "_METADATA").write_text("[" * 10**6), "RecursionError"),
    "huge integer": (lambda path: (path / "_METADATA").write_text("9" * 10**4), "ValueError"),
    "other JSON": (lambda path: (path / "_METADATA").write_text("[]"), ""),
    "no tree": (lambda path: (path / "_METADATA").write_text("{}"), "KeyError"),
    "inflating": (inflating, "End of data expected"),
    "pipe": (pipe, "which is no file"),
    "endless": (endless, "which is no file"),
    "no array": (no_file, ""),
    "noise": (noise, ""),
}


@pytest.fixture(scope="module")
def said(tmp_path_factory, run_guarded):
    """What a process with little memory says of each directory."""
    folder = tmp_path_factory.mktemp("orbax")
    tree = {"params": {"kernel": np.ones((3, 2), "f4"), "bias": np.ones(2, "f4")}}
    honest = write(folder / "honest", tree)
    for name, (edit, _) in HOSTILE.items():
        shutil.copytree(honest, folder / name)
        edit(folder / name)
    return json.loads(run_guarded(LOAD, folder))


@pytest.mark.slow
@pytest.mark.law("S3")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_directory_that_lies_is_refused_within_little_memory(name, said):
    alone, in_layer = said[name]
    assert alone.startswith("Cannot read variables from")
    assert HOSTILE[name][1] in alone
    for text in (alone, in_layer):
        assert "Law: " in text
        assert len(text) < 1500


@pytest.mark.slow
def test_the_honest_directory_beside_them_is_read(said):
    assert said["honest"] == ["loaded", "loaded"]


@pytest.fixture
def layer():
    layer = FlaxLayer(nn.Dense(2))
    layer.build((None, 3))
    return layer


def state_of(layer):
    return TrainState.create(
        apply_fn=None, params=layer.flax_variables()["params"], tx=optax.adam(0.1)
    )


@pytest.mark.law("S3")
def test_what_does_not_fit_a_layer_is_not_read(layer, tmp_path, same_bits):
    other = FlaxLayer(nn.Dense(5))
    other.build((None, 3))
    path = write(tmp_path / "x", state_of(other))
    noise(path)
    before = layer.get_weights()
    with pytest.raises(MatchVariablesError, match=r"params/kernel: shape \[3,5\]"):
        layer.load_flax_variables(path)
    same_bits(layer.get_weights(), before)
    with pytest.raises(ReadVariablesError):
        read_variables(path)


@pytest.mark.law("S3")
def test_the_state_of_an_optimizer_is_not_read(layer, tmp_path, same_bits):
    path = write(tmp_path / "x", state_of(layer))
    moments = [place for place in path.iterdir() if place.name.startswith("opt_state.0.mu")]
    for place in moments:
        for chunk in place.glob("[0-9]*"):
            chunk.write_bytes(b"\xff" * 100)
    assert len(moments) == 2
    expected = layer.flax_variables()
    same_bits(read_variables(path), expected)
    layer.load_flax_variables(path)
    same_bits(layer.flax_variables(), expected)


@pytest.mark.law("S3")
def test_zeros_of_a_layer_may_be_packed_tightly(tmp_path, same_bits):
    class Wide(nn.Module):
        @nn.compact
        def __call__(self, x):
            return x + self.param("p", nn.initializers.zeros, (8192, 4096)).sum()

    layer = FlaxLayer(Wide())
    layer.build((None, 3))
    path = write(tmp_path / "x", layer.flax_variables())
    assert sum(place.stat().st_size for place in path.rglob("*")) < 1 << 20
    layer.load_flax_variables(path)
    with pytest.raises(ReadVariablesError, match="134,217,728 bytes of arrays"):
        read_variables(path)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # TensorStore's
@pytest.mark.law("S6")
def test_every_mutation_of_a_directory_is_read_or_refused(layer, tmp_path):
    path = write(tmp_path / "x", jax.tree.map(np.asarray, layer.flax_variables()))
    files = sorted(place for place in path.rglob("*") if place.is_file())
    rng, refused = np.random.default_rng(0), 0
    for _ in range(60):
        place = files[rng.integers(len(files))]
        content = place.read_bytes()
        changed = bytearray(content)
        for index in rng.integers(0, len(changed), 3):
            changed[index] = rng.integers(32, 127)
        place.write_bytes(changed)
        try:
            layer.load_flax_variables(path)
        except FlaxLayerError as error:
            assert len(str(error)) < 1500
            refused += 1
        place.write_bytes(content)
    assert refused > 10


KILLED = """
import os, sys
import orbax.checkpoint as ocp
from pathlib import Path
import flax.linen as nn, numpy as np
from flaxlayer import FlaxLayer

class Wide(nn.Module):
    @nn.compact
    def __call__(self, x):
        return x + self.param("p", nn.initializers.ones, (1024, 4096)).sum()

layer, folder, saver = FlaxLayer(Wide()), Path(sys.argv[1]), ocp.StandardCheckpointer()
layer.build((None, 3))
saver.save(folder / "first", layer.flax_variables())
saver.wait_until_finished()
layer.set_weights([2 * value for value in layer.get_weights()])
saver.save(folder / "second", layer.flax_variables())
os.kill(os.getpid(), 9)
"""


@pytest.mark.law("D3")
def test_a_tree_is_saved_while_training_goes_on(tmp_path, same_bits):
    layer = FlaxLayer(nn.Dense(2))
    model = keras.Sequential([layer])
    model.compile("sgd", "mse")
    data = np.ones((2, 3), np.float32), np.ones((2, 2), np.float32)
    model.train_on_batch(*data)
    saved = jax.tree.map(np.asarray, layer.flax_variables())
    with ocp.StandardCheckpointer() as saver:
        saver.save(tmp_path / "saved", layer.flax_variables())
        model.train_on_batch(*data)  # which donates the arrays
    trained = jax.tree.map(np.asarray, layer.flax_variables())
    assert not np.array_equal(trained["params"]["kernel"], saved["params"]["kernel"])
    layer.load_flax_variables(tmp_path / "saved")
    same_bits(layer.flax_variables(), saved)


@pytest.mark.slow
@pytest.mark.law("D3")
def test_a_save_that_is_killed_leaves_the_tree_before_it(tmp_path, same_bits):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    ones = {"params": {"p": np.ones((1024, 4096), np.float32)}}
    same_bits(read_variables(tmp_path / "first"), ones)
    left = set(tmp_path.iterdir()) - {tmp_path / "first"}
    assert left
    for path in left - {tmp_path / "second"}:  # whole, should the save have been faster
        with pytest.raises(ReadVariablesError):
            read_variables(path)
