"""Programs of nnx cases: short, alone, and the same computation."""

import subprocess
import sys
import warnings

import jax
import jax.numpy as jnp
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
    failing_program,
    flag_arguments,
    make_inputs,
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
    inputs = jax.tree.map(jnp.asarray, make_inputs(case.spec, case.batch_size, case.seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return module(*inputs, **flag_arguments(case.spec, training=training))


@pytest.mark.law("T1")
@pytest.mark.parametrize(
    "features",
    [
        ("dense", "batch_norm", "dropout", "dict_output"),
        ("count_steps", "sow_loss", "nested", "setup"),
    ],
)
def test_a_program_gives_what_the_built_module_gives(features):
    spec = find(nnx_modules(max_nodes=1, features=features), lambda spec: True)
    case = Case(spec, 3, 11, framework="nnx")
    program = run(to_program(case))
    keys = {name: 11 + number for number, name in enumerate(("default", "params", "dropout"))}
    module = build_nnx_module(spec, batch_size=3)(rngs=nnx.Rngs(**keys))
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
