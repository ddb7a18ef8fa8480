"""Programs of nnx cases: short, alone, and the same computation."""

import subprocess
import sys
import warnings
from dataclasses import replace

import jax
import keras
import numpy as np
import pytest
from flax import nnx
from hypothesis import find, given, settings

from flaxlayer import FlaxLayer
from flaxlayer_testing import (
    Case,
    Subject,
    build_nnx_module,
    call_arguments,
    failing_program,
    nnx_cases,
    nnx_modules,
    to_program,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11"),
]


def run(text):
    namespace = {"__name__": "program"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(text, "<program>", "exec"), namespace)
    return namespace


def outputs(case, module, *, training):
    (module.train if training else module.eval)()
    keys = {name: jax.random.key(case.seed) for name in ("argument", "supplied")}
    args, kwargs = call_arguments(case, keys, training=training)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return module(*args, **kwargs)


@pytest.mark.law("T1")
@pytest.mark.parametrize(
    "features",
    [
        ("dense", "batch_norm", "dropout", "dict_output"),
        ("count_steps", "sow_loss", "nested", "setup"),
        ("text_argument", "enum_argument", "supplied_rngs_argument"),
        ("array_argument", "supplied_key_argument", "default_argument", "keyword_argument"),
    ],
)
def test_a_program_gives_what_the_built_module_gives(features):
    drawn = find(nnx_cases(max_nodes=1, features=features, instance=False), lambda case: True)
    case = replace(drawn, batch_size=3, seed=11)
    program = run(to_program(case))
    keys = {name: 11 + number for number, name in enumerate(("default", "params", "dropout"))}
    module = build_nnx_module(case.spec, batch_size=3)(rngs=nnx.Rngs(**keys))
    for name, training in (("trained", True), ("predicted", False)):
        expected = jax.tree.leaves(outputs(case, module, training=training))
        for left, right in zip(expected, jax.tree.leaves(program[name]), strict=True):
            np.testing.assert_array_equal(left, right)


@pytest.mark.law("T1")
@settings(max_examples=100)
@given(nnx_cases())
def test_a_program_imports_nothing_of_the_harness_and_is_python(case):
    text = to_program(case)
    assert "flaxlayer" not in text
    assert "linen" not in text
    compile(text, "<program>", "exec")


@keras.saving.register_keras_serializable("tests")
class AlwaysTrains(FlaxLayer):
    def __call__(self, *args, **kwargs):
        return super().__call__(*args, **{**kwargs, "training": True})


@pytest.mark.law("T1")
@pytest.mark.parametrize("instance", [False, True], ids=["class", "object"])
def test_a_failing_program_fails_for_the_faulty_layer_and_not_for_its_twin(instance):
    spec = find(nnx_modules(features=["dropout"], max_nodes=1), lambda spec: True)
    case = Case(spec, framework="nnx", instance=instance)
    assert run(failing_program(Subject.from_case(case), "check_inference"))
    text = failing_program(Subject.from_case(case, layer=AlwaysTrains), "check_inference")
    with pytest.raises(AssertionError, match="!="):
        run(text)


@pytest.mark.law("T1")
@pytest.mark.parametrize(
    "check", ["check_fresh_keys", "check_state_training", "check_state_inference"]
)
def test_a_program_of_a_check_passes_for_the_layer(check):
    spec = find(nnx_modules(features=["dropout", "batch_norm"], max_nodes=1), lambda spec: True)
    run(failing_program(Subject.from_case(Case(spec, framework="nnx")), check))


@pytest.mark.law("T1")
def test_a_program_stands_alone():
    spec = find(nnx_modules(features=["sow_loss", "tied"], max_nodes=1), lambda spec: True)
    text = to_program(Case(spec, framework="nnx"), check="assert trained is None, 'an output'")
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "an output" in done.stderr
