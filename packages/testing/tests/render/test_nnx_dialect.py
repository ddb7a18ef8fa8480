"""Specs as nnx modules: constructors, classes, pickling."""

import inspect
import pickle

import jax.numpy as jnp
import pytest
from flax import nnx

from flaxlayer_testing import (
    Case,
    Flag,
    ModuleSpec,
    Node,
    ReadSpecError,
    ValueType,
    build_nnx_module,
    compare_trees,
    to_program,
)
from flaxlayer_testing.render import nnx_dialect as generated

pytestmark = pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")

X = ValueType((3,))
DENSE = Node("dense", (0,), (("features", 3), ("param_dtype", "float32"), ("use_bias", True)))
AGAIN = Node("again", (1,), (("node", 0),))
TABLE = Node("table", (0,), (("dtype", "float32"),))


@pytest.mark.parametrize("instance", [False, True], ids=["class", "object"])
def test_a_case_serialises_and_its_class_pickles(instance):
    case = Case(ModuleSpec((X,), (TABLE,), (1,)), framework="nnx", instance=instance)
    assert Case.from_json(case.to_json()) == case
    made = build_nnx_module(case.spec)
    assert pickle.loads(pickle.dumps(made)).func is made.func


def test_classes_are_importable_by_name_and_have_the_signature_of_the_spec():
    spec = ModuleSpec((X,), (DENSE,), (1,), flag=Flag("is_training", True, False))
    kind = build_nnx_module(spec).func
    assert kind.__module__ == generated.__name__
    assert getattr(generated, kind.__name__) is kind
    assert str(inspect.signature(kind.__call__)) == "(self, x0, *, is_training=False)"
    for name in ("GeneratedNnx99", "Generated1"):
        with pytest.raises(AttributeError, match=name):
            getattr(generated, name)


def test_an_object_tells_what_it_was_made_with():
    spec = ModuleSpec((X,), (DENSE,), (1,))
    module = build_nnx_module(spec, batch_size=3, seed=1)
    assert module.get_config() == {"spec": spec.to_json(), "batch_size": 3}


@pytest.mark.law("T1")
def test_the_object_of_a_program_has_the_values_and_the_streams_of_the_built_one():
    drawn = [
        Node("dropout", (0,), (("broadcast_dims", ()), ("rate", 0.5), ("rng_collection", name)))
        for name in ("dropout", "drop_path")
    ]
    spec = ModuleSpec((X,), (*drawn, DENSE), (1, 2, 3), "tuple", flag=Flag("train"))
    case = Case(spec, 2, 5, framework="nnx", instance=True)
    namespace = {"__name__": "program"}
    exec(compile(to_program(case), "<program>", "exec"), namespace)
    made, printed = build_nnx_module(spec, seed=5), namespace["module"]
    compare_trees(_state(made), _state(printed), bitwise=True)
    streams = {part.tag for _, part in nnx.iter_graph(made) if isinstance(part, nnx.RngStream)}
    assert streams == {"dropout", "drop_path"}


def _state(module):
    return nnx.to_pure_dict(nnx.state(module))


@pytest.mark.parametrize(
    ("style", "encoder", "kind"),
    [("compact", 0, type(None)), ("setup", 0, "List"), ("setup", 1, "Dict")],
    ids=["attributes", "list", "dict"],
)
def test_the_parts_of_a_module_stand_in_attributes_a_list_or_a_dict(style, encoder, kind):
    spec = ModuleSpec((X,), (DENSE, AGAIN), (2,), style=style, encoder=encoder)
    module = build_nnx_module(spec, seed=0)
    layers = getattr(module, "layers", None)
    assert type(layers) is (getattr(nnx, kind) if isinstance(kind, str) else kind)


@pytest.mark.parametrize("style", ["compact", "setup"])
def test_a_layer_that_is_called_again_is_one_object(style):
    module = build_nnx_module(ModuleSpec((X,), (DENSE, AGAIN), (2,), style=style), seed=0)
    parts = module.layers if style == "setup" else (module.layer_1, module.layer_2)
    assert parts[0] is parts[1]
    x = jnp.ones((2, 3))
    assert (module(x) == parts[0](parts[0](x))).all()


@pytest.mark.parametrize(
    ("node", "shape"),
    [
        (Node("conv_local", (0,), (("features", 2), ("kernel_size", (2,)))), (4, 2)),
        (Node("bidirectional", (0,), (("backward", "GRUCell"), ("forward", "MGUCell"))), (4, 2)),
        (
            Node(
                "nested",
                (0,),
                (("transform", "map_variables"),),
                ModuleSpec((X,), (DENSE,), (1,)),
            ),
            (3,),
        ),
    ],
    ids=["operation", "option", "transform"],
)
def test_what_linen_alone_has_is_refused(node, shape):
    with pytest.raises(ReadSpecError, match="nnx has no such module"):
        build_nnx_module(ModuleSpec((ValueType(shape),), (node,), (1,)))
