"""A resumed run is the same run (D3); over processes see test_whole_files."""

import json
import os
import shutil
import signal
import subprocess
import sys

import flax.linen as nn
import keras
import numpy as np
import pytest

pytest.importorskip("orbax.checkpoint")

from flaxlayer import FlaxLayer, TrainingCheckpoint
from flaxlayer_core import CallArgumentError, ReadUnbuiltError, ReadVariablesError
from packages.layer.tests.processes.running import ROOT
from packages.layer.tests.processes.saved_models import fitted
from packages.layer.tests.processes.trained_models import new_model, weights_of

pytestmark = pytest.mark.jax_only("it is JAX that distributes")


def everything_of(model):
    return [*weights_of(model).values(), *weights_of(model, model.optimizer.variables).values()]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A directory of two epochs, and the model that was trained for them."""
    folder = tmp_path_factory.mktemp("training") / "run"
    model, losses = fitted(folder, until=2)
    return folder, model, losses


@pytest.fixture
def folder(run, tmp_path):
    shutil.copytree(run[0], tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.law("D3")
def test_a_resumed_run_has_the_numbers_of_an_uninterrupted_one(run, folder, tmp_path, same_bits):
    model, whole = fitted(tmp_path / "other", until=4)
    again, resumed = fitted(folder, until=4)
    assert [*run[2], *resumed] == whole
    same_bits(everything_of(again), everything_of(model))


@pytest.mark.law("D3")
def test_names_that_keras_counts_up_are_found_again(run, folder, same_bits):
    model = new_model("linen")
    assert [v.path for v in model.variables] != [v.path for v in run[1].variables]
    assert TrainingCheckpoint(folder).restore(model) == 2
    same_bits(everything_of(model), everything_of(run[1]))


@pytest.mark.law("D3")
def test_the_last_epochs_are_kept_and_no_others(tmp_path):
    model = keras.Sequential([keras.Input((3,)), FlaxLayer(nn.Dense(1))])
    model.compile("sgd", "mse")
    checkpoint = TrainingCheckpoint(tmp_path / "run", every=2, keep=1)
    x = np.ones((4, 3))
    model.fit(x, x[:, :1], epochs=5, verbose=0, callbacks=[checkpoint])
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["4"]
    assert checkpoint.restore(model) == 4
    assert int(model.optimizer.iterations) == 4


@pytest.mark.law("D3")
def test_without_a_checkpoint_nothing_is_changed(tmp_path, same_bits):
    model = new_model("linen")
    before = everything_of(model)
    assert TrainingCheckpoint(tmp_path / "run").restore(model) == 0
    same_bits(everything_of(model)[: len(before)], before)


@pytest.mark.law("D3")
def test_another_model_is_refused_and_left_as_it_was(folder, same_bits):
    model = keras.Sequential([keras.Input((4,)), FlaxLayer(nn.Dense(1))])
    model.compile("sgd", "mse")
    before = everything_of(model)
    with pytest.raises(ReadVariablesError, match=r"Cannot resume from .*run'") as caught:
        TrainingCheckpoint(folder).restore(model)
    assert "variables, not" in caught.value.found
    same_bits(everything_of(model)[: len(before)], before)


@pytest.mark.law("D3")
@pytest.mark.parametrize("part", ["shape", "name"])
def test_another_variable_is_refused_by_name(folder, part):
    about = folder / "2/about/metadata"
    stored = json.loads(about.read_text())
    place = next(i for i, v in enumerate(stored["variables"]) if v[0].endswith("head/kernel"))
    if part == "shape":
        stored["variables"][place][1] = [9, 1]
    else:
        stored["variables"][place][0] = "model/linen/params/head/scale"
    about.write_text(json.dumps(stored))
    with pytest.raises(ReadVariablesError) as caught:
        TrainingCheckpoint(folder).restore(new_model("linen"))
    assert "head/" in caught.value.found


def blocks(*names):
    inside = [FlaxLayer(nn.Dense(3), name=name) for name in names]
    model = keras.Sequential([keras.Input((3,)), *inside])
    model.compile("adam", "mse")
    return model


@pytest.mark.law("D3")
@pytest.mark.parametrize(
    "names",
    [("block_2", "block_1"), ("body_1", "head_2"), ("block_1", "tail_2"), ("tall_1", "block_2")],
)
def test_a_model_of_equal_shapes_and_other_names_is_refused(names, tmp_path, same_bits):
    train(TrainingCheckpoint(tmp_path / "run"), blocks("block_1", "block_2"))
    model = blocks(*names)
    before = everything_of(model)
    with pytest.raises(ReadVariablesError) as caught:
        TrainingCheckpoint(tmp_path / "run").restore(model)
    assert names[0] in caught.value.found or names[1] in caught.value.found
    same_bits(everything_of(model)[: len(before)], before)


@pytest.mark.law("D3")
def test_equal_names_inside_are_no_counts_of_keras(tmp_path, same_bits):
    def model():
        inside = [keras.layers.Dense(3, use_bias=False), FlaxLayer(Numbered())]
        whole = keras.Sequential([keras.Input((3,)), *inside])
        whole.compile("adam", "mse")
        return whole

    first = model()
    train(TrainingCheckpoint(tmp_path / "run"), first)
    again = model()
    assert TrainingCheckpoint(tmp_path / "run").restore(again) == 1
    same_bits(everything_of(again), everything_of(first))


class Numbered(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3, name="dense_1")(nn.Dense(3, name="dense")(x))


def train(checkpoint, model):
    model.fit(np.ones((4, 3)), np.ones((4, 3)), verbose=0, callbacks=[checkpoint])


@pytest.mark.law("D3")
def test_a_damaged_checkpoint_is_refused_and_the_model_left_as_it_was(folder, same_bits):
    model = new_model("linen")
    model.optimizer.build(model.trainable_variables)
    before = everything_of(model)
    shutil.rmtree(folder / "2/state")
    with pytest.raises(ReadVariablesError, match="Cannot resume from"):
        TrainingCheckpoint(folder).restore(model)
    same_bits(everything_of(model), before)


@pytest.mark.law("D3")
@pytest.mark.parametrize("name", ["every", "keep"])
@pytest.mark.parametrize("number", [0, -1, 1.5, True, None])
def test_a_count_that_is_none_is_refused(tmp_path, name, number):
    with pytest.raises(CallArgumentError, match=f"cannot use this {name}"):
        TrainingCheckpoint(tmp_path, **{name: number})


@pytest.mark.law("D3")
def test_a_file_is_no_directory_of_checkpoints(tmp_path):
    (tmp_path / "run").write_text("text")
    with pytest.raises(NotADirectoryError, match="run"):
        TrainingCheckpoint(tmp_path / "run")


@pytest.mark.law("D3")
@pytest.mark.parametrize("model", [None, FlaxLayer(nn.Dense(1), name="alone")])
def test_what_is_no_model_is_refused(folder, model):
    with pytest.raises(CallArgumentError, match=r"Expected: a keras\.Model"):
        TrainingCheckpoint(folder).restore(model)


@pytest.mark.law("D3")
def test_a_model_without_variables_is_refused(folder):
    model = keras.Sequential([FlaxLayer(nn.Dense(1))], name="empty")
    with pytest.raises(ReadUnbuiltError, match="'empty'"):
        TrainingCheckpoint(folder).restore(model)


KILLED = """
import os, signal, sys
import keras
from packages.layer.tests.processes.saved_models import fitted
import flaxlayer
save = flaxlayer.TrainingCheckpoint.on_epoch_end
def die(self, epoch, logs=None):
    save(self, epoch, logs)
    if epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)
flaxlayer.TrainingCheckpoint.on_epoch_end = die
fitted(sys.argv[1], until=4)
"""


@pytest.mark.slow
@pytest.mark.law("D3")
def test_after_a_kill_in_a_save_the_last_whole_checkpoint_is_there(tmp_path, close):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "run")], cwd=ROOT, env=os.environ
    )
    assert done.returncode == -signal.SIGKILL
    _, whole = fitted(tmp_path / "other", until=4)
    _, resumed = fitted(tmp_path / "run", until=4)
    assert 1 <= len(resumed) <= 2  # the third may have been whole already
    close(np.float32(resumed), np.float32(whole[-len(resumed) :]))
