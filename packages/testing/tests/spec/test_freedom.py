from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest
from hypothesis import HealthCheck, given, settings

from flaxlayer_testing import (
    Case,
    Flag,
    ModuleSpec,
    Node,
    ValueType,
    build_module,
    cases,
    flag_arguments,
    init_variables,
    make_rngs,
)
from flaxlayer_testing.render import pieces as blocks
from flaxlayer_testing.spec.extras import EXTRA_KINDS
from flaxlayer_testing.spec.freedom import dimensions, is_free

SEQUENCE = ValueType((4, 2))
MASK = ValueType((4,), "bool")


def one(op, *options, inputs=(SEQUENCE,)):
    node = Node(op, tuple(range(len(inputs))), tuple(sorted(options)))
    return ModuleSpec(inputs, (node,), (len(inputs),), flag=Flag())


DENSE = one("dense", ("features", 2), ("param_dtype", "float32"), ("use_bias", True))
LOCAL = one("conv_local", ("features", 2), ("kernel_size", (2,)))
GENERAL = one("dense_general", ("features", 3), ("axis", (-2, -1)))
MASKED = one("masked_mean", inputs=(SEQUENCE, MASK))
TANH = one("activation", ("function", "tanh"))
TAKEN = replace(TANH, nodes=(Node("flatten", (0,)), Node("table", (1,), (("dtype", "bool"),))))


@pytest.mark.parametrize(
    ("spec", "free"),
    [
        (DENSE, [((0, 1),)]),
        (LOCAL, []),
        (GENERAL, []),
        (MASKED, [((0, 2),), ((0, 1), (1, 1))]),
        (TANH, [((0, 1),), ((0, 2),)]),
        (TAKEN, []),
        (one("decode", ("num_heads", 1)), []),
        (one("split"), [((0, 1),)]),
    ],
)
def test_dimensions_that_no_variable_depends_on_are_free(spec, free):
    assert [group for group in dimensions(spec) if is_free(spec, group)] == free


def test_a_nested_module_or_a_second_call_holds_a_dimension_as_its_layers_do():
    again = Node("again", (0,), (("node", 0),))
    for spec, free in ((DENSE, True), (LOCAL, False)):
        nested = replace(spec, nodes=(Node("nested", (0,), (), spec),))
        assert is_free(nested, ((0, 1),)) is free
        assert is_free(replace(spec, nodes=(*spec.nodes, again)), ((0, 1),)) is free


OF_EXTRAS = {kind.feature for kind in EXTRA_KINDS.values()}


def grown(case):
    inputs = list(case.spec.inputs)
    for number, axis in case.unknown:
        shape = list(inputs[number].shape)
        shape[axis - 1] += 5
        inputs[number] = replace(inputs[number], shape=tuple(shape))
    return tuple(inputs)


def structured(spec, arrays):
    own = len(arrays) - spec.mask
    if spec.arguments == "positional":
        return arrays
    tree = {
        "dict": lambda values: {f"x{i}": value for i, value in enumerate(values)},
        "tuple": tuple,
        "dataclass": lambda values: blocks.Record(tuple(values)),
    }[spec.arguments](arrays[:own])
    return (tree, *arrays[own:])


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(cases(max_nodes=3, without=OF_EXTRAS).filter(lambda case: case.unknown))
def test_a_built_module_runs_with_free_dimensions_of_another_size(case):
    spec = case.spec
    arrays = [jax.ShapeDtypeStruct((2, *v.shape), jnp.dtype(v.dtype)) for v in grown(case)]
    flags, rngs = flag_arguments(spec, training=True), make_rngs(spec, 0, training=True)
    variables = jax.eval_shape(lambda: init_variables(Case(spec)))
    jax.eval_shape(
        lambda tree, *args: build_module(spec).apply(
            tree, *structured(spec, args), rngs=rngs, mutable=True, **flags
        ),
        variables,
        *arrays,
    )
