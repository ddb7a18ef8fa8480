import subprocess
import sys
from dataclasses import replace

import jax
import pytest
from flax.core import DenyList
from hypothesis import find, given, settings

from flaxlayer_testing import (
    Case,
    build_module,
    call_arguments,
    cases,
    compare_trees,
    init_variables,
    make_rngs,
    modules,
    to_program,
)

pytestmark = pytest.mark.slow


def run(text):
    namespace = {"__name__": "program"}
    exec(compile(text, "<program>", "exec"), namespace)
    return namespace


def definitions(case):
    return to_program(case).split("\n\n\nrng = ")[0]


def apply(case, module, variables, *, training):
    rngs = make_rngs(case.spec, case.seed, training=training)
    args, kwargs = call_arguments(case, rngs, training=training)
    return module.apply(variables, *args, rngs=rngs, mutable=DenyList(["params"]), **kwargs)


def jaxprs(case, module, variables):
    for training in (True, False):
        yield str(
            jax.make_jaxpr(lambda t, m=training: apply(case, module, t, training=m))(variables)
        )


@settings(max_examples=60)
@given(cases())
def test_a_program_defines_the_same_computation_as_the_built_module(case):
    variables = jax.eval_shape(lambda: init_variables(case))
    printed = run(definitions(case))["Model"]()
    assert [*jaxprs(case, printed, variables)] == [
        *jaxprs(case, build_module(case.spec), variables)
    ]


EXTRAS = (
    ("text_argument", "enum_argument", "key_argument"),
    ("number_argument", "array_argument", "supplied_key_argument"),
    ("switch_argument", "default_argument", "keyword_argument"),
)


@pytest.mark.parametrize(
    "features",
    [
        *EXTRAS,
        ("dense", "batch_norm", "dropout", "dict_output"),
        ("embed", "count_steps", "always_noise", "nested"),
        ("sow_loss", "param_dtype", "moving_average", "tied", "flag_negated"),
    ],
)
def test_a_program_gives_bitwise_what_the_built_module_gives(features):
    case = replace(find(cases(max_nodes=1, features=features), lambda case: True), seed=11)
    program = run(to_program(case))
    variables = init_variables(case)
    compare_trees(variables, program["variables"], bitwise=True)
    for name, training in (("trained", True), ("predicted", False)):
        expected = apply(case, build_module(case.spec), variables, training=training)
        compare_trees(expected, program[name], bitwise=True)


@settings(max_examples=100)
@given(cases())
def test_a_program_imports_nothing_of_the_harness(case):
    text = to_program(case)
    assert "flaxlayer" not in text
    # A scan over time with its axes is one expression.
    assert max(map(len, text.splitlines())) < 300


def test_a_check_is_appended_and_its_failure_is_the_programs():
    case = Case(find(modules(), lambda spec: True))
    text = to_program(case, check="assert variables['params'] == {}, 'it has params'")
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "it has params" in done.stderr
