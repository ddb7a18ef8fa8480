"""Programs of cases: short, alone, and the same computation."""

import subprocess
import sys
import warnings
from dataclasses import replace

import jax
import numpy as np
import pytest
from flax import nnx
from flax.core import DenyList
from hypothesis import find, given, settings

from flaxlayer_testing import (
    Case,
    Flag,
    ModuleSpec,
    Node,
    ValueType,
    build_module,
    build_nnx_module,
    call_arguments,
    cases,
    compare_trees,
    init_variables,
    make_rngs,
    nnx_cases,
    to_program,
)

pytestmark = pytest.mark.slow
of_nnx = pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")
BOTH = pytest.mark.parametrize(
    "strategy", [cases, pytest.param(nnx_cases, marks=of_nnx)], ids=["linen", "nnx"]
)


def run(text):
    namespace = {"__name__": "program"}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*sow", DeprecationWarning)
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


def outputs_of_nnx(case, module, *, training):
    (module.train if training else module.eval)()
    keys = {name: jax.random.key(case.seed) for name in ("argument", "supplied")}
    args, kwargs = call_arguments(case, keys, training=training)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return module(*args, **kwargs)


@of_nnx
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
def test_a_program_of_nnx_gives_what_the_built_module_gives(features):
    drawn = find(nnx_cases(max_nodes=1, features=features, instance=False), lambda case: True)
    case = replace(drawn, batch_size=3, seed=11)
    program = run(to_program(case))
    keys = {name: 11 + number for number, name in enumerate(("default", "params", "dropout"))}
    module = build_nnx_module(case.spec, batch_size=3)(rngs=nnx.Rngs(**keys))
    for name, training in (("trained", True), ("predicted", False)):
        expected = jax.tree.leaves(outputs_of_nnx(case, module, training=training))
        for left, right in zip(expected, jax.tree.leaves(program[name]), strict=True):
            np.testing.assert_array_equal(left, right)


@pytest.mark.law("T1")
@BOTH
def test_a_program_imports_nothing_of_the_harness_and_is_python(strategy):
    other = {cases: r"nnx", nnx_cases: r"linen"}[strategy]

    @settings(max_examples=100)
    @given(strategy())
    def draw(case):
        text = to_program(case)
        assert "flaxlayer" not in text
        assert other not in text
        # A scan over time with its axes is one expression.
        assert max(map(len, text.splitlines())) < 300
        compile(text, "<program>", "exec")

    draw()


@of_nnx
def test_a_program_holds_the_pieces_that_it_refers_to_and_no_others():
    mask = Node("masked_mean", (0, 1))
    spec = ModuleSpec((ValueType((4, 2)), ValueType((4,), "bool")), (mask,), (2,))
    # The docstring of the piece says: Averages the elements...
    assert "class Averages" not in to_program(Case(spec, framework="nnx"))
    loss = Node("sow_loss", (0,), (("at_inference", True),))
    spec = ModuleSpec((ValueType((3,)),), (loss,), (1,), flag=Flag())
    text = to_program(Case(spec, framework="nnx"))
    assert text.index("class losses") < text.index("def sow_loss")


def test_a_class_stands_behind_the_one_that_it_derives_from():
    node = Node("inheritance", (0,), (("features", 2),))
    text = to_program(Case(ModuleSpec((ValueType((3,)),), (node,), (1,))))
    assert text.index("class Gained") < text.index("class Shifted(Gained)")


@pytest.mark.law("T1")
@BOTH
def test_a_check_is_appended_and_its_failure_is_the_programs(strategy):
    case = find(strategy(), lambda case: True)
    text = to_program(case, check="assert trained is None, 'it has outputs'")
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "it has outputs" in done.stderr
