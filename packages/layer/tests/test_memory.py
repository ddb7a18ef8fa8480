"""What a file asks for in all is held against what the process can still get (S3)."""

import os
import resource
import subprocess
import sys
import textwrap

import flax.linen as nn
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer, building, memory
from flaxlayer_core import BuildModuleError

GIB = 1 << 30


class Machine:
    """A machine of made-up figures: `/proc`, and the folders of control groups."""

    def __init__(self, root):
        self.root, self.mounts, self.groups = root, [], []
        (root / "proc" / "self").mkdir(parents=True)
        self.available = 8 * GIB

    def mount(self, version, folder, *, top="/"):
        kind = {1: "cgroup cgroup rw,memory", 2: "cgroup2 cgroup2 rw"}[version]
        self.mounts.append(f"31 21 0:2{version} {top} {self.root / folder} rw - {kind}")

    def join(self, version, path):
        self.groups.append(f"4:memory:{path}" if version == 1 else f"0::{path}")

    def group(self, version, folder, *, limit, used, files=0):
        names = {
            1: ("memory.limit_in_bytes", "memory.usage_in_bytes"),
            2: ("memory.max", "memory.current"),
        }
        place = self.root / folder
        place.mkdir(parents=True, exist_ok=True)
        for name, value in zip(names[version], (limit, used), strict=True):
            (place / name).write_text(f"{value}\n")
        kept = {1: "total_inactive_file", 2: "inactive_file"}[version]
        (place / "memory.stat").write_text(f"anon 5\n{kept} {files}\n")

    def run(self, monkeypatch):
        proc = self.root / "proc"
        (proc / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable: {self.available >> 10} kB\n")
        (proc / "self" / "mountinfo").write_text("\n".join(self.mounts))
        (proc / "self" / "cgroup").write_text("\n".join(["9:name=systemd:/", *self.groups]))
        monkeypatch.setattr(memory, "PROC", proc)
        monkeypatch.setattr(memory, "_physical_bytes", lambda: 16 * GIB)
        return memory.total_bytes(), memory.free_bytes()


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.mark.law("S3")
def test_what_is_in_use_is_not_free(machine, monkeypatch):
    assert machine.run(monkeypatch) == (16 * GIB, 8 * GIB)


@pytest.mark.law("S3")
@pytest.mark.parametrize("version", [1, 2])
def test_a_group_of_processes_has_no_more_than_its_limit(version, machine, monkeypatch):
    machine.mount(version, "groups")
    machine.join(version, "/mine/inner")
    machine.group(version, "groups/mine/inner", limit="max", used=GIB)
    machine.group(version, "groups/mine", limit=4 * GIB, used=3 * GIB)
    assert machine.run(monkeypatch) == (4 * GIB, GIB)


@pytest.mark.law("S3")
@pytest.mark.parametrize("version", [1, 2])
def test_the_lowest_of_nested_limits_counts(version, machine, monkeypatch):
    machine.mount(version, "groups")
    machine.join(version, "/mine/inner")
    machine.group(version, "groups/mine/inner", limit=2 * GIB, used=GIB)
    machine.group(version, "groups/mine", limit=4 * GIB, used=0)
    machine.group(version, "groups", limit=9 * GIB, used=9 * GIB - 5)
    assert machine.run(monkeypatch) == (2 * GIB, 5)


@pytest.mark.law("S3")
@pytest.mark.parametrize("version", [1, 2])
def test_what_the_kernel_keeps_of_files_gives_way(version, machine, monkeypatch):
    machine.mount(version, "groups")
    machine.join(version, "/")
    machine.group(version, "groups", limit=4 * GIB, used=4 * GIB, files=3 * GIB)
    assert machine.run(monkeypatch) == (4 * GIB, 3 * GIB)


@pytest.mark.law("S3")
@pytest.mark.parametrize("top", ["/container/7", "/"])
def test_in_a_container_the_top_of_what_is_mounted_is_its_group(top, machine, monkeypatch):
    machine.mount(2, "groups", top=top)
    machine.join(2, "/container/7")
    machine.group(2, "groups", limit=GIB, used=GIB // 2)
    assert machine.run(monkeypatch) == (GIB, GIB // 2)


@pytest.mark.law("S3")
def test_a_group_beyond_its_limit_leaves_nothing(machine, monkeypatch):
    machine.mount(2, "groups")
    machine.join(2, "/")
    machine.group(2, "groups", limit=GIB, used=2 * GIB)
    assert machine.run(monkeypatch) == (GIB, 0)


@pytest.mark.law("S3")
@pytest.mark.parametrize("kind", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_the_limits_of_the_process_itself_count(kind, machine, monkeypatch):
    pages, size = 1000, os.sysconf("SC_PAGE_SIZE")
    (machine.root / "proc" / "self" / "statm").write_text(f"{pages} 5 4 3 0 {pages} 0\n")
    limits = {getattr(resource, kind): GIB}
    infinite = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(
        resource, "getrlimit", lambda k: (limits[k], GIB) if k in limits else infinite
    )
    assert machine.run(monkeypatch) == (GIB, GIB - pages * size)


@pytest.mark.law("S3")
def test_a_system_without_these_figures_has_its_physical_memory(machine, monkeypatch, tmp_path):
    machine.run(monkeypatch)
    monkeypatch.setattr(memory, "PROC", tmp_path / "nowhere")
    assert (memory.total_bytes(), memory.free_bytes()) == (16 * GIB, 16 * GIB)


KIB = 1 << 10
SIZE = 64 * KIB  # bytes of a layer below, but for its bias


def stored_model(count):
    layers = [FlaxLayer(nn.Dense(128, use_bias=False), name=f"l{i}") for i in range(count)]
    return keras.Sequential([keras.Input((128,)), *layers], name="m")


class Subclassed(keras.Model):
    """Its layers are built from what the weights file says."""

    def __init__(self, count=6, **kwargs):
        super().__init__(**kwargs)
        self.parts = [FlaxLayer(nn.Dense(128, use_bias=False), name=f"l{i}") for i in range(count)]
        self.count = count

    def call(self, x):
        for part in self.parts:
            x = part(x)
        return x

    def get_config(self):
        return {"count": self.count}


def unbuilt():
    model = Subclassed()
    model.built = True  # else Keras asks for a call first
    return model


@pytest.fixture
def made(monkeypatch):
    """Counts the layers whose weights are made, on a machine that shows nothing of it."""
    count, create = [], building.create_weights

    def counting(*args, **kwargs):
        count.append(1)
        return create(*args, **kwargs)

    def begin(free):
        count.clear()
        monkeypatch.setattr(memory, "free_bytes", lambda: free)

    monkeypatch.setattr(building, "create_weights", counting)
    return count, begin


def loads(model, folder):
    model.save(folder / "model.keras")
    text, config = model.to_json(), model.get_config()
    whole = keras.saving.serialize_keras_object(model)
    return {
        "file": lambda: keras.saving.load_model(folder / "model.keras"),
        "JSON": lambda: keras.models.model_from_json(text),
        "from_config": lambda: keras.Sequential.from_config(config),
        "object": lambda: keras.saving.deserialize_keras_object(whole),
        "clone": lambda: keras.models.clone_model(model),
    }


@pytest.mark.law("S3")
@pytest.mark.parametrize("route", ["file", "JSON", "from_config", "object", "clone"])
def test_the_layers_of_a_load_are_counted_together(route, made, tmp_path):
    load = loads(stored_model(6), tmp_path)[route]
    count, begin = made
    # What draws a layer's values holds five times its size: the fourth has no room.
    begin(SIZE * 7 + SIZE // 2)
    with pytest.raises(BuildModuleError, match="too much memory"):
        load()
    assert len(count) == 3
    begin(SIZE * 10 + SIZE // 2)
    load()
    assert len(count) == 6


@pytest.mark.law("S3")
def test_layers_that_a_weights_file_builds_are_counted_together(made, tmp_path):
    model = Subclassed()
    model(np.ones((1, 128), "float32"))
    model.save_weights(tmp_path / "model.weights.h5")
    count, begin = made
    begin(SIZE * 4 + SIZE // 2)
    with pytest.raises(Exception, match="too much memory"):  # Keras gathers what layers raise
        unbuilt().load_weights(tmp_path / "model.weights.h5")
    assert len(count) == 3
    begin(SIZE * 8)
    unbuilt().load_weights(tmp_path / "model.weights.h5")
    assert len(count) == 6


def test_outside_of_a_load_nothing_is_read_to_count_what_is_taken(monkeypatch):
    def refuse(path):
        raise AssertionError(path)

    monkeypatch.setattr(memory, "_read", refuse)
    memory.note_taken(5)


@pytest.mark.law("S3")
def test_each_load_has_an_account_of_its_own(made, tmp_path):
    load = loads(stored_model(3), tmp_path)["JSON"]
    _, begin = made
    begin(SIZE * 7 + SIZE // 2)
    for _ in range(3):
        load()


@pytest.mark.law("S3")
def test_a_layer_that_fails_takes_nothing(made, tmp_path, monkeypatch):
    layer = FlaxLayer.from_config(FlaxLayer(nn.Dense(128, use_bias=False)).get_config())
    _, begin = made
    begin(SIZE * 5 + KIB)
    for _ in range(3):
        with pytest.raises(BuildModuleError):
            layer.build((None, 2, 3, 10**9))
    layer.build((None, 128))


SCRIPT = """
    import json, os, resource
    import flax.linen as nn, keras
    from flaxlayer import FlaxLayer

    layers = [FlaxLayer(nn.Dense(64, use_bias=False), name=f"l{i}") for i in range(12)]
    for layer in layers:
        layer.build((None, 64))
    stored = [keras.saving.serialize_keras_object(layer) for layer in layers]
    parts = {"name": "m", "trainable": True, "layers": stored}
    model = {"module": "keras", "class_name": "Sequential", "config": parts}
    text = json.dumps({**model, "registered_name": None})
    large = text.replace('["features", 64]', '["features", 5120]')
    large = large.replace("[[null, 64]", "[[null, 5120]")
    assert large != text
    # Of data, not of addresses: an allocator reserves those for each thread as it likes.
    used = int(open("/proc/self/statm").read().split()[5]) * os.sysconf("SC_PAGE_SIZE")
    limit = used + (1 << 30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    resource.setrlimit(resource.RLIMIT_CPU, (300, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    try:
        keras.models.model_from_json(large)
    except Exception as error:
        print(type(error).__name__, "memory" in str(error), str(error)[:2000])
"""


@pytest.mark.slow
@pytest.mark.law("S3")
def test_a_process_with_a_limit_refuses_layers_that_have_no_room_together():
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT)]
    done = subprocess.run(command, env={**os.environ}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split()[:2] == ["BuildModuleError", "True"], done.stdout
