"""The formats of checkpoints: which of them reads a path, and what importing them costs (W2)."""

import subprocess
import sys

import pytest

from flaxlayer import read_variables
from flaxlayer.saving.checkpoints.formats import FORMATS
from flaxlayer_core import ReadVariablesError


def _reader(path):
    return next(known.writer for known in reversed(FORMATS) if known.claims(path))


def test_a_path_has_the_format_of_its_kind(tmp_path):
    for name in ("a.msgpack", "a.safetensors", "without_ending"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.safetensors").mkdir()
    found = {path.name: _reader(path) for path in tmp_path.iterdir()}
    assert found == {
        "a.msgpack": "flax.serialization.to_bytes",
        "a.safetensors": "safetensors",
        "without_ending": "flax.serialization.to_bytes",
        "folder.safetensors": "Orbax",
    }
    assert not any(known.claims(tmp_path / "absent") for known in FORMATS)


def test_the_known_formats_are_named_as_what_to_save_with(tmp_path):
    with pytest.raises(ReadVariablesError) as caught:
        read_variables(tmp_path / "absent")
    known = "flax.serialization.to_bytes, safetensors, or Orbax"
    assert caught.value.fix == f"Save with {known}, and pass that path."


@pytest.mark.jax_only("Keras itself imports TensorFlow there")
@pytest.mark.law("W2")
def test_the_readers_are_imported_only_when_they_are_needed():
    script = "import sys, flaxlayer; print([n for n in ('orbax', 'safetensors', 'tensorflow', "
    script += "'torch') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr[-2000:]
