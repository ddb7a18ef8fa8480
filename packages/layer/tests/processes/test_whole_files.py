"""Files, checkpoints and predictions of several processes (D2, D3)."""

import os
import signal
import subprocess
import sys

import flax.linen as nn
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer, save_in_processes
from flaxlayer.processes import gathering, whole_files
from flaxlayer_core import DistributeModelError
from packages.layer.tests.needs import needs_layouts, with_processes
from packages.layer.tests.processes.running import ROOT, run_processes
from packages.layer.tests.processes.saved_models import PLACES, fitted, mine, optimizer_of
from packages.layer.tests.processes.trained_models import new_model, weights_of

pytestmark = pytest.mark.jax_only("it is JAX that joins processes")

HERE = "packages.layer.tests.processes"


def model_of(features):
    model = keras.Sequential([keras.Input((3,)), FlaxLayer(nn.Dense(features), name="dense")])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def files_are_whole(folder, results, same_bits):
    """Files: written by one, read by all, the same under any distribution and in this process."""
    first = results[0]
    assert sorted(path.name for path in (folder / "files").iterdir()) == [
        "model.keras",
        "model.weights.h5",
    ]
    by_weights = new_model("linen")
    by_weights.optimizer.build(by_weights.trainable_variables)
    by_weights.load_weights(folder / "files/model.weights.h5")
    here = keras.models.load_model(folder / "files/model.keras")
    for model in (here, by_weights):
        same_bits([*weights_of(model).values()][:-1], first["values"][:-1])  # without the seed
        same_bits(optimizer_of(model), first["optimizer"])
    for found in results:
        same_bits(found["after"], first["values"])
        for place in PLACES:
            values, optimizer = found["loaded"][place]
            same_bits(values[:-1], first["values"][:-1])
            same_bits(optimizer, first["optimizer"])
    return by_weights


def failures_are_told(results):
    """What cannot be written is refused in each process."""
    first, *others = results
    assert first["broken"] == "FileNotFoundError"
    assert {found["broken"] for found in others} == {"DistributeModelError"}
    for found in results:
        assert "cannot write 'model/linen/params/body/kernel'" in found["own"]
        assert "save_in_processes" in found["own"]
        assert "ends in .keras or .weights.h5" in found["ending"]
        assert all(found["agreed"])
        assert not found["other"]


def predictions_are_of_own_rows(model, results, close):
    """Predictions: each process has those of its own rows."""
    for process, found in enumerate(results):
        for place in PLACES:
            x = mine(0 if place == "model across" else process)
            close(found["predicted"][place], model.predict(x, verbose=0))


def trees_are_read_in_parts(count, results, same_bits):
    """A tree of Flax in a directory of Orbax: each process reads the parts that it has."""
    kernels = {"['params']['body']['kernel']['value']": 4 * 8, "['params']['head']['kernel']": 8}
    for found in results:
        for place in PLACES:
            values, divided = found["reread"][place]
            same_bits(values[:-1], results[0]["values"][:-1])
            parts = {"data": 0, "model within": 2, "model across": count}[place]
            assert divided == ({n: size // parts for n, size in kernels.items()} if parts else {})


def runs_go_on(folder, results, close, same_bits):
    """Checkpoints: read on other meshes, and resumed in one process."""
    first = results[0]
    for found in results:
        for place in PLACES[1:]:
            epoch, values, optimizer = found["resumed", place]
            assert epoch == 2
            same_bits(values, first["values"])
            same_bits(optimizer, first["optimizer"])
    _, whole = fitted(folder / "uninterrupted", until=4)
    _, resumed = fitted(folder / "run", until=4)
    close(np.float32([*first["losses"], *resumed]), np.float32(whole))


@needs_layouts
@pytest.mark.law("D2")
@pytest.mark.law("D3")
@with_processes
def test_several_processes_write_whole_files_and_checkpoints(count, tmp_path, close, same_bits):
    results = run_processes(f"{HERE}.saved_models:save_all", count=count, folder=str(tmp_path))
    model = files_are_whole(tmp_path, results, same_bits)
    failures_are_told(results)
    predictions_are_of_own_rows(model, results, close)
    trees_are_read_in_parts(count, results, same_bits)
    runs_go_on(tmp_path, results, close, same_bits)


KILLED = """
import os, signal, sys
from packages.layer.tests.processes.test_whole_files import model_of
from flaxlayer import save_in_processes
os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
save_in_processes(model_of(5), sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.law("D3")
def test_a_process_that_is_killed_while_it_saves_leaves_the_file_that_was_there(tmp_path):
    path = tmp_path / "model.keras"
    save_in_processes(model_of(2), path)
    before = path.read_bytes()
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=ROOT, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == before
    assert keras.models.load_model(path).output_shape == (None, 2)


@pytest.mark.law("D3")
@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5"])
def test_one_process_writes_the_file_that_keras_would(tmp_path, name, same_bits):
    model = model_of(2)
    model.layers[0].load_flax_variables({"params": {"bias": np.float32([3, 4])}})
    save_in_processes(model, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    again = model_of(2)
    if name == "model.keras":
        again = keras.models.load_model(tmp_path / name)
    else:
        again.load_weights(tmp_path / name)
    same_bits(again.get_weights(), model.get_weights())


@pytest.mark.law("D3")
def test_a_divided_variable_is_gathered_when_it_is_written(tmp_path, same_bits, monkeypatch):
    model = keras.Sequential([keras.Input((3,)), FlaxLayer(nn.Dense(2))])
    monkeypatch.setattr(whole_files, "spans_processes", lambda value: True)
    asked = []
    gather = gathering.gather
    monkeypatch.setattr(gathering, "gather", lambda array: asked.append(1) or gather(array))
    save_in_processes(model, tmp_path / "model.weights.h5")
    assert len(asked) == 2
    before = model.get_weights()
    model.set_weights([np.zeros_like(value) for value in before])
    model.load_weights(tmp_path / "model.weights.h5")
    same_bits(model.get_weights(), before)


@pytest.mark.law("D3")
def test_a_save_that_fails_leaves_the_file_that_was_there(tmp_path):
    path = tmp_path / "model.keras"
    save_in_processes(model_of(2), path)
    before = path.read_bytes()
    broken = model_of(2)
    broken.layers[0].get_config = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        save_in_processes(broken, path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.law("D3")
def test_a_path_of_another_ending_is_refused(tmp_path):
    with pytest.raises(DistributeModelError, match=r"model\.h5") as caught:
        save_in_processes(model_of(2), tmp_path / "model.h5")
    assert caught.value.expected == "a path that ends in .keras or .weights.h5"
