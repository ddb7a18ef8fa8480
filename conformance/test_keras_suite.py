"""Keras's own tests of `keras.layers.FlaxLayer`, which its wheel ships, pass with ours (T3)."""

import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ET

import keras
import pytest

pytest.importorskip("tensorflow")

ROOT = pathlib.Path(__file__).parents[1]
TESTS = 30  # of Keras 3.15; the others are about `JaxLayer`, which the file tests too
ABOUT_FLAX = {
    "test_flax_layer_training_independent_bound_method",
    "test_flax_layer_training_rng_state_no_method",
    "test_flax_layer_training_rng_unbound_method",
    "test_flax_layer_training_rng_unbound_method_dtype_policy",
    "test_with_flax_state_no_params",
}
BACKENDS = ["jax", pytest.param("tensorflow", marks=pytest.mark.long)]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        tuple(map(int, keras.__version__.split(".")[:2])) < (3, 15), reason="other tests than these"
    ),
]


@pytest.mark.law("A11")
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_tests_of_keras_pass(backend, tmp_path):
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(tmp_path)]
    command += ["-p", "conformance.keras_suite", "-p", "no:cacheprovider", "-W", "ignore"]
    command += [f"--junitxml={report}", "--pyargs", "keras.src.utils.jax_layer_test"]
    environment = {**os.environ, "KERAS_BACKEND": backend}
    environment.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]

    cases = list(ET.parse(report).iter("testcase"))
    passed = [case for case in cases if {child.tag for child in case} <= {"properties"}]
    assert len(passed) == len(cases) >= TESTS
    calls = {case.get("name"): int(case.find("properties/property").get("value")) for case in cases}
    assert {name for name, count in calls.items() if count} == ABOUT_FLAX
