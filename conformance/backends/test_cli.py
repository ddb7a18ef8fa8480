"""The command on another backend than JAX (T2, T8)."""

import json

import keras
import pytest
from typer.testing import CliRunner

from flaxlayer_testing.cli.app import app

BACKEND = keras.backend.backend()
DISTRIBUTIONS = {"tensorflow": "tensorflow-cpu", "torch": "torch"}
WRONG = "flaxlayer_testing.run.samples:NegatesOutputs"


def run(*arguments):
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.law("T2")
def test_check_passes_a_module_and_names_the_backend(tmp_path):
    record = tmp_path / "record.json"
    arguments = ["--set", "features=2", "--input", "float32[2,3]", "--json", str(record)]
    only = ["--only", "check_inference", "--only", "check_train_step"]
    done = run("check", "flax.linen:Dense", *arguments, *only)
    assert done.exit_code == 0, done.output
    versions = json.loads(record.read_text())["reports"][0]["versions"]
    assert DISTRIBUTIONS[BACKEND] in json.dumps(versions)


@pytest.mark.law("T8")
def test_check_fails_a_faulty_layer_and_says_how_to_replay_it():
    arguments = ["--set", "features=2", "--input", "float32[2,3]", "--only", "check_inference"]
    done = run("check", "flax.linen:Dense", *arguments, "--layer", WRONG)
    assert done.exit_code == 1
    assert f"KERAS_BACKEND={BACKEND} flaxlayer-conformance check" in done.output


@pytest.mark.law("T2")
def test_search_passes_generated_modules():
    done = run("search", "--examples", "2", "--seed", "0", "--only", "check_inference")
    assert done.exit_code == 0, done.output


@pytest.mark.law("T8")
def test_search_finds_a_faulty_layer(tmp_path):
    saved = tmp_path / "failure.json"
    only = ["--only", "check_inference", "--save", str(saved)]
    done = run("search", "--examples", "5", "--layer", WRONG, *only)
    assert done.exit_code == 1
    assert saved.exists()
