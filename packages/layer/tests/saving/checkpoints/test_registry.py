"""Variables from Flax msgpack, safetensors, Orbax and a `TrainState` (W2)."""

import builtins
import os
from importlib import metadata

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import serialization, traverse_util
from flax.training.train_state import TrainState
from safetensors.flax import save_file

from flaxlayer import FlaxLayer, read_variables
from flaxlayer_core import ImportExtraError, MatchVariablesError, ReadVariablesError

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32).reshape(2, 4)


class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dense(3, param_dtype=jnp.bfloat16)(x)
        x = nn.BatchNorm(use_running_average=not train)(x)
        kernel_init = nn.with_partitioning(nn.initializers.normal(), (None, "model"))
        return nn.Dense(2, kernel_init=kernel_init)(x)


class TrainStateWithStats(TrainState):
    batch_stats: object = None


@pytest.fixture(scope="module")
def variables():
    tree = Net().init(jax.random.key(4), X)
    return jax.tree.map(lambda leaf: leaf + jnp.asarray(0.5, leaf.dtype), tree)


@pytest.fixture
def layer():
    layer = FlaxLayer(Net())
    layer.build((None, 4))
    return layer


def flat(tree, separator):
    return traverse_util.flatten_dict(nn.meta.unbox(tree), sep=separator)


def train_state(variables):
    return TrainStateWithStats.create(
        apply_fn=Net().apply,
        params=variables["params"],
        tx=optax.adam(1e-3),
        batch_stats=variables["batch_stats"],
    )


def whole_train_state(variables):
    return TrainState.create(apply_fn=Net().apply, params=variables, tx=optax.sgd(0.1))


def write_msgpack(path, tree):
    path.write_bytes(serialization.to_bytes(tree))


def write_orbax(path, tree):
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, tree)


def write_orbax_pytree(path, tree):
    with ocp.PyTreeCheckpointer() as checkpointer:
        checkpointer.save(path, tree)


WRITERS = {
    "msgpack": write_msgpack,
    "msgpack_train_state": lambda path, tree: write_msgpack(path, train_state(tree)),
    "msgpack_whole_train_state": lambda path, tree: write_msgpack(path, whole_train_state(tree)),
    "slashes.safetensors": lambda path, tree: save_file(flat(tree, "/"), path),
    "dots.safetensors": lambda path, tree: save_file(flat(tree, "."), path),
    "orbax": write_orbax,
    "orbax_pytree": write_orbax_pytree,
    "orbax_train_state": lambda path, tree: write_orbax(path, train_state(tree)),
}


ORBAX = tuple(map(int, metadata.version("orbax-checkpoint").split(".")[:3]))
needs_orbax = pytest.mark.skipif(ORBAX < (0, 11, 36), reason="the orbax extra asks for a later one")


@pytest.mark.law("W2")
@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=[needs_orbax] if "orbax" in k else []) for k in WRITERS]
)
def test_a_checkpoint_of_each_kind_gives_the_layer_its_very_values(
    kind, variables, layer, tmp_path, same_bits
):
    path = (tmp_path / kind).resolve()
    WRITERS[kind](path, variables)
    layer.load_flax_variables(path)
    same_bits(layer.flax_variables(), variables)
    layer.load_flax_variables(str(path))
    same_bits(layer.flax_variables(), variables)


@needs_orbax
@pytest.mark.law("W2")
def test_a_step_of_an_orbax_manager_is_read(variables, layer, tmp_path, same_bits):
    with ocp.CheckpointManager(tmp_path / "manager") as manager:
        manager.save(3, args=ocp.args.StandardSave(variables))
        manager.wait_until_finished()
    layer.load_flax_variables(tmp_path / "manager" / "3" / "default")
    same_bits(layer.flax_variables(), variables)


@pytest.mark.law("W2")
@pytest.mark.parametrize("make", [train_state, whole_train_state])
def test_a_train_state_goes_in_as_it_is(make, variables, layer, same_bits):
    layer.load_flax_variables(make(variables))
    same_bits(layer.flax_variables(), variables)


@pytest.mark.law("W2")
def test_state_beside_a_whole_tree_in_params_is_kept(variables, layer, same_bits):
    state = TrainStateWithStats.create(
        apply_fn=None,
        params={"params": variables["params"]},
        tx=optax.sgd(0.1),
        batch_stats=variables["batch_stats"],
    )
    layer.load_flax_variables(state)
    same_bits(layer.flax_variables(), variables)


@pytest.mark.law("W2")
def test_a_sub_tree_in_a_file_changes_only_its_part(variables, layer, tmp_path, same_bits):
    before = layer.flax_variables()
    path = tmp_path / "part.safetensors"
    save_file({"params/Dense_0/bias": jnp.ones(3, jnp.bfloat16)}, path)
    layer.load_flax_variables(path)
    expected = jax.tree.map(lambda leaf: leaf, before)
    expected["params"]["Dense_0"]["bias"] = jnp.ones(3, jnp.bfloat16)
    same_bits(layer.flax_variables(), expected)


@pytest.mark.law("W2")
def test_typed_keys_come_back_from_their_key_data(tmp_path):
    class Keyed(nn.Module):
        @nn.compact
        def __call__(self, x):
            self.variable("rng", "key", lambda: jax.random.key(1))
            return x

    layer = FlaxLayer(Keyed())
    layer.build((None, 4))
    data = np.asarray(jax.random.key_data(jax.random.key(8)))
    write_msgpack(tmp_path / "keys", {"rng": {"key": data}})
    layer.load_flax_variables(tmp_path / "keys")
    key = layer.flax_variables()["rng"]["key"]
    assert jax.random.key_data(key).tolist() == data.tolist()


@pytest.mark.law("W2")
def test_a_checkpoint_of_another_module_changes_nothing(layer, tmp_path, same_bits):
    before = jax.tree.map(np.asarray, layer.flax_variables())
    write_msgpack(
        tmp_path / "other",
        {"batch_stats": before["batch_stats"], "params": {"Dense_7": {"bias": np.ones(3)}}},
    )
    with pytest.raises(MatchVariablesError, match="Dense_7"):
        layer.load_flax_variables(tmp_path / "other")
    same_bits(layer.flax_variables(), before)


def write_list(path):
    path.write_bytes(serialization.msgpack_serialize([1, 2]))


def write_clash(path):
    save_file({"params": jnp.ones(1), "params/bias": jnp.ones(1)}, path)


@pytest.mark.law("W2")
@pytest.mark.parametrize(
    ("name", "write", "found"),
    [
        ("absent", lambda path: None, "nothing at this path"),
        ("empty", lambda path: path.write_bytes(b""), "empty file"),
        ("noise", lambda path: path.write_bytes(b"\xc1" * 50), ""),
        ("pickle", lambda path: path.write_bytes(b"\x80\x04cos\nsystem\n."), ""),
        ("list", write_list, "list"),
        ("noise.safetensors", lambda path: path.write_bytes(b"\xff" * 50), "SafetensorError"),
        ("clash.safetensors", write_clash, "params"),
        ("directory", lambda path: path.mkdir(), "an empty directory"),
    ],
)
def test_what_is_no_checkpoint_is_refused_with_what_was_found(
    name, write, found, layer, tmp_path, same_bits
):
    write(tmp_path / name)
    before = layer.get_weights()
    with pytest.raises(ReadVariablesError) as caught:
        layer.load_flax_variables(tmp_path / name)
    assert found in caught.value.found
    assert str(tmp_path / name) in caught.value.failed
    same_bits(layer.get_weights(), before)


@pytest.mark.law("W2")
def test_a_damaged_orbax_directory_is_refused(variables, tmp_path):
    write_orbax(tmp_path / "checkpoint", variables)
    (tmp_path / "checkpoint" / "_METADATA").write_text("{")
    with pytest.raises(ReadVariablesError):
        read_variables(tmp_path / "checkpoint")


@pytest.mark.law("W2")
@pytest.mark.parametrize(
    ("package", "extra"), [("orbax.checkpoint", "orbax"), ("safetensors", "safetensors")]
)
def test_a_missing_extra_names_what_to_install(package, extra, variables, tmp_path, monkeypatch):
    kind = "orbax" if extra == "orbax" else "slashes.safetensors"
    WRITERS[kind](tmp_path / kind, variables)
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == package:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportExtraError) as caught:
        read_variables(tmp_path / kind)
    assert caught.value.fix == f"pip install 'flaxlayer[{extra}]'"


def test_what_is_neither_a_file_nor_a_directory_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ReadVariablesError, match="something else"):
        read_variables(tmp_path / "pipe")
