"""Each route by which Keras reads weights comes to the same checks (S3, S6)."""

import io
import json
import pickle
import shutil
import zipfile

import flax.linen as nn
import h5py
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer, load_reference_model, read_variables
from flaxlayer_core import DecodeModuleError, ReadVariablesError
from packages.layer.tests.needs import KERAS

GROUP = "layers/flax_layer/vars"
EXECUTED = []

LOAD = """
import json, pathlib, sys
import flax.linen as nn, keras
from flaxlayer import FlaxLayer

model = keras.Sequential([keras.Input((4,)), FlaxLayer(nn.Dense(300))])
before, said = model.get_weights(), {}
guard(200)
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    if path.name.endswith((".weights.h5", ".json")) and not "_0000" in path.name:
        loads = {"load_weights": model.load_weights}
    elif path.suffix == ".keras":
        loads = {"load_weights": model.load_weights, "load_model": keras.models.load_model}
    else:
        loads = {"load_model": keras.models.load_model} if path.is_dir() else {}
    for route, load in loads.items():
        try:
            load(path)
        except Exception as error:
            said[f"{path.name} {route}"] = str(error)[:4000]
assert all((a == b).all() for a, b in zip(before, model.get_weights()))
print(json.dumps(said))
"""


def model_of(width=300):
    return keras.Sequential([keras.Input((4,)), FlaxLayer(nn.Dense(width))])


def spoil(file):
    with h5py.File(file, "a") as opened:
        del opened[GROUP]["params.kernel"]
        options = {"shape": (1 << 29,), "dtype": "f4", "chunks": True, "compression": "gzip"}
        opened[GROUP].create_dataset("params.kernel", **options)


def write_routes(folder):
    """Writes weights of which one is said to take 2 GiB, in each form that Keras reads."""
    model = model_of()
    model.save_weights(folder / "m.weights.h5")
    spoil(folder / "m.weights.h5")
    model.save(folder / "whole.keras")
    with zipfile.ZipFile(folder / "whole.keras") as file:
        parts = {name: file.read(name) for name in file.namelist()}
    weights = io.BytesIO(parts["model.weights.h5"])
    spoil(weights)
    parts["model.weights.h5"] = weights.getvalue()
    routes = ["m.weights.h5 load_weights", "whole.keras load_weights", "whole.keras load_model"]
    with zipfile.ZipFile(folder / "whole.keras", "w") as file:
        for name, content in parts.items():
            file.writestr(name, content)
    if KERAS >= (3, 7):
        (folder / "unpacked").mkdir()
        for name, content in parts.items():
            (folder / "unpacked" / name).write_bytes(content)
        routes.append("unpacked load_model")
    if KERAS >= (3, 10):
        model.save_weights(folder / "shards.weights.json", max_shard_size=0.1)
        spoil(folder / "shards_00000.weights.h5")
        routes.append("shards.weights.json load_weights")
    return routes


@pytest.mark.slow
@pytest.mark.law("S3")
def test_an_array_that_does_not_fit_is_not_read_by_any_route(tmp_path, run_guarded):
    routes = write_routes(tmp_path)
    said = json.loads(run_guarded(LOAD, tmp_path))
    assert set(said) == set(routes)
    for text in said.values():
        assert "params.kernel has shape [536870912], not [4, 300]" in text


needs_shards = pytest.mark.skipif(KERAS < (3, 13), reason="Keras reads several shards of a layer")


@needs_shards
@pytest.mark.law("S3")
@pytest.mark.parametrize("place", ["params.kernel", "params.bias"])
def test_a_layer_in_several_files_is_looked_at_in_all_of_them(place, tmp_path, same_bits):
    model = model_of(70_000)
    model.save_weights(tmp_path / "m.weights.json", max_shard_size=0.00107)
    files = sorted(tmp_path.glob("*.h5"))
    assert len(files) == 2
    expected = model.get_weights()
    other = model_of(70_000)
    other.load_weights(tmp_path / "m.weights.json")
    same_bits(other.get_weights(), expected)
    for path in files:
        with h5py.File(path, "a") as file:
            if place in file[GROUP]:
                del file[GROUP][place]
                file[GROUP][place] = np.ones((3, 3), "f4")
    with pytest.raises(ValueError, match=rf"{place} has shape \[3, 3\]"):
        other.load_weights(tmp_path / "m.weights.json")
    same_bits(other.get_weights(), expected)


@needs_shards
@pytest.mark.law("S6")
@pytest.mark.parametrize(
    "name", ["../other.h5", "/etc/passwd", "", "absent.h5", 7, None, "\0"], ids=repr
)
def test_a_map_of_shards_that_names_no_file_beside_it_changes_nothing(name, tmp_path, same_bits):
    model = model_of(70_000)
    model.save_weights(tmp_path / "m.weights.json", max_shard_size=0.00107)
    shutil.copy(tmp_path / "m_00000.weights.h5", tmp_path.parent / "other.h5")
    described = json.loads((tmp_path / "m.weights.json").read_text())
    first = described["weight_map"][f"/{GROUP}"][0]
    described["weight_map"][f"/{GROUP}"] = [first, name]
    (tmp_path / "m.weights.json").write_text(json.dumps(described))
    other = model_of(70_000)
    before = other.get_weights()
    with pytest.raises(ValueError, match="Law: W3"):
        other.load_weights(tmp_path / "m.weights.json")
    same_bits(other.get_weights(), before)


class Run:
    def __reduce__(self):
        return EXECUTED.append, ("unpickled",)


@pytest.mark.law("S2")
def test_nothing_is_unpickled_by_any_route(tmp_path):
    content = pickle.dumps(Run())
    model = model_of()
    model.save(tmp_path / "whole.keras")
    with zipfile.ZipFile(tmp_path / "whole.keras") as file:
        parts = {name: file.read(name) for name in file.namelist()}
    pickled = io.BytesIO()
    objects = np.empty(1, object)
    objects[0] = Run()
    np.savez(pickled, **{"layers/flax_layer": objects}, __root__=objects)
    del parts["model.weights.h5"]
    parts["model.weights.npz"] = pickled.getvalue()
    with zipfile.ZipFile(tmp_path / "npz.keras", "w") as file:
        for name, part in parts.items():
            file.writestr(name, part)
    EXECUTED.clear()
    with pytest.raises(DecodeModuleError, match=r"model\.weights\.h5"):
        load_reference_model(tmp_path / "npz.keras")
    assert EXECUTED == []
    if KERAS >= (3, 14):  # older Keras itself may unpickle what it reads
        with pytest.raises(ValueError, match="pickle"):
            keras.models.load_model(tmp_path / "npz.keras")
    for name in ("m", "m.safetensors", "m.msgpack", "m.pkl"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ReadVariablesError):
            read_variables(tmp_path / name)
    (tmp_path / "checkpoint").mkdir()
    for name in ("_METADATA", "checkpoint", "manifest.ocdbt"):
        (tmp_path / "checkpoint" / name).write_bytes(content)
    with pytest.raises(ReadVariablesError):
        read_variables(tmp_path / "checkpoint")
    (tmp_path / "m.keras").write_bytes(content)
    with pytest.raises(DecodeModuleError):
        load_reference_model(tmp_path / "m.keras")
    assert EXECUTED == []


@pytest.mark.law("S2")
@pytest.mark.parametrize("name", ["hf://someone/model", "gs://bucket/model.keras", "https://x/y"])
def test_nothing_is_fetched_from_elsewhere(name, monkeypatch):
    def connect(*args, **kwargs):
        raise AssertionError("a connection")

    monkeypatch.setattr("socket.socket.connect", connect)
    with pytest.raises(DecodeModuleError):
        load_reference_model(name)
    with pytest.raises(ReadVariablesError, match="nothing at this path"):
        read_variables(name)
