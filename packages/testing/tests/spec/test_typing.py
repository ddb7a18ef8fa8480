from dataclasses import replace

import pytest

from flaxlayer_testing import (
    FEATURES,
    Flag,
    ModuleSpec,
    Node,
    ReadSpecError,
    ValueType,
    build_module,
    output_types,
    spec_traits,
    value_types,
)

X = ValueType((3,))
RELU = Node("activation", (0,), (("function", "relu"),))
DENSE = Node("dense", (0,), (("features", 2), ("param_dtype", "bfloat16"), ("use_bias", True)))
NOISE = Node("training_noise", (0,), (("stream", "noise"),))
COUNT = Node("count_steps", (1,), (("at_init", False),))
SPEC = ModuleSpec((X,), (RELU,), (1,))
TABLE = Node("table", (0,), (("dtype", "float32"),))
DENSED = ModuleSpec((X,), (DENSE,), (1,))
INNER = ModuleSpec((X,), (NOISE, COUNT), (2,), flag=Flag("eval"))


def test_values_are_typed_in_order():
    assert value_types(ModuleSpec((X,), (DENSE,), (1,))) == (X, ValueType((2,)))


def test_outputs_are_typed_in_their_order():
    spec = ModuleSpec((X,), (DENSE,), (1, 0), "tuple")
    assert output_types(spec) == (ValueType((2,)), X)


def test_a_nested_module_adds_its_traits():
    spec = ModuleSpec((X,), (Node("nested", (0,), (), INNER),), (1,), flag=Flag())
    traits = spec_traits(spec)
    assert traits.uses_flag
    assert traits.state == {"counters"}
    assert traits.streams(training=True) == {"noise"}
    assert traits.streams(training=False) == set()
    assert {"nested", "custom_stream", "state_stream_flag"} <= traits.features


def test_every_feature_of_an_operation_is_described():
    assert spec_traits(INNER).features <= set(FEATURES)


@pytest.mark.parametrize(
    "spec",
    [
        replace(SPEC, nodes=(replace(RELU, op="exec"),)),
        replace(SPEC, nodes=(replace(RELU, args=(1,)),)),
        replace(SPEC, nodes=(replace(RELU, args=(-1,)),)),
        replace(SPEC, nodes=(replace(RELU, args=(0, 0)),)),
        replace(SPEC, nodes=(replace(RELU, options=()),)),
        replace(SPEC, nodes=(replace(RELU, options=(("function", "relu(x0), exit"),)),)),
        replace(SPEC, nodes=(replace(DENSE, options=(*DENSE.options[:2], ("use_bias", 1))),)),
        replace(SPEC, nodes=(replace(RELU, inner=SPEC),)),
        replace(SPEC, nodes=(Node("nested", (0,)),)),
        replace(SPEC, nodes=(Node("nested", (0,), (), INNER),)),
        replace(SPEC, nodes=(Node("nested", (0,), (), replace(SPEC, structure="dict")),)),
        replace(SPEC, nodes=(Node("nested", (0,), (), replace(SPEC, arguments="dict")),)),
        replace(SPEC, nodes=(Node("nested", (0,), (("transform", "exec"),), SPEC),)),
        replace(SPEC, nodes=(Node("nested", (0,), (("method", "jit"),), SPEC),)),
        replace(SPEC, nodes=(Node("nested", (0,), (("transform", "scan"),), DENSED),)),
        replace(SPEC, nodes=(Node("nested", (0,), (("transform", "map_variables"),), SPEC),)),
        replace(SPEC, nodes=(DENSE, Node("again", (1,), (("node", 0),))), outputs=(2,)),
        replace(SPEC, nodes=(DENSE, Node("again", (0,), (("node", 1),))), outputs=(2,)),
        replace(SPEC, nodes=(DENSE, Node("again", (0,))), outputs=(2,)),
        replace(SPEC, nodes=(RELU, Node("again", (0,), (("node", 0),))), outputs=(2,)),
        replace(SPEC, arguments="list"),
        replace(SPEC, mask=True),
        replace(SPEC, inputs=(ValueType((4, 2)), ValueType((3,), "bool")), mask=True),
        replace(SPEC, style="lazy"),
        replace(SPEC, encoder=1),
        replace(SPEC, style="setup", encoder=2),
        replace(SPEC, style="setup", nodes=(TABLE,)),
        replace(SPEC, nodes=(NOISE,)),
        replace(SPEC, nodes=(RELU,) * 65),
        replace(SPEC, outputs=(2,)),
        replace(SPEC, outputs=()),
        replace(SPEC, outputs=(0, 1)),
        replace(SPEC, structure="set"),
        replace(SPEC, flag=Flag("import os")),
        replace(SPEC, inputs=()),
        replace(SPEC, inputs=(ValueType((10**9,)),)),
        replace(SPEC, inputs=(ValueType((0,)),)),
        replace(SPEC, inputs=(ValueType((3,), "object"),)),
        replace(SPEC, inputs=(ValueType((3,), "int32"),)),
    ],
)
def test_a_wrong_spec_is_refused_before_any_text_is_made_of_it(spec):
    with pytest.raises(ReadSpecError, match=r"harness cannot build[\s\S]*Law: T1"):
        build_module(spec)


def test_a_layer_that_is_called_again_gives_what_it_gave():
    spec = replace(SPEC, nodes=(DENSE, Node("again", (0,), (("node", 0),))), outputs=(2,))
    assert output_types(spec) == (ValueType((2,)),)
    assert "tied_submodule" in spec_traits(spec).features


def test_a_transform_changes_the_types_of_a_nested_module():
    nested = Node("nested", (0,), (("transform", "vmap"),), DENSED)
    spec = replace(SPEC, nodes=(nested,))
    assert output_types(spec) == (ValueType((2, 2)),)
    assert {"nested", "vmap", "dense"} <= spec_traits(spec).features


def test_modules_nest_to_a_bounded_depth():
    spec = SPEC
    for _ in range(5):
        spec = replace(SPEC, nodes=(Node("nested", (0,), (), spec),))
    with pytest.raises(ReadSpecError, match="at most 4 levels"):
        value_types(spec)
