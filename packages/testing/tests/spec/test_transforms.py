import jax
import jax.numpy as jnp
import pytest
from flax.core import DenyList

from flaxlayer_testing import (
    Flag,
    ModuleSpec,
    Node,
    ReadSpecError,
    ValueType,
    build_module,
    flag_arguments,
    make_rngs,
    output_types,
    value_types,
)
from flaxlayer_testing.spec.transforms import TRANSFORMS

X = ValueType((3,))
DENSE = Node("dense", (0,), (("features", 3), ("param_dtype", "float32"), ("use_bias", True)))
COUNT = Node("count_steps", (1,), (("at_init", False),))
NOISE = Node("training_noise", (1,), (("stream", "noise"),))
SOW = Node("sow_loss", (1,), (("at_inference", True),))
BOXED = Node("partitioned_dense", (0,), (("features", 3), ("partitioning", "with_partitioning")))
INNER = {
    "params": ModuleSpec((X,), (DENSE,), (1,)),
    "state": ModuleSpec((X,), (DENSE, COUNT), (2,), flag=Flag()),
    "stream": ModuleSpec((X,), (DENSE, NOISE), (2,), flag=Flag("deterministic", True)),
    "sown": ModuleSpec((X,), (DENSE, SOW), (2,), flag=Flag()),
    "metadata": ModuleSpec((X,), (BOXED,), (1,)),
}


def nested(name, inner, *, style="compact"):
    shape = (4, 3) if name == "scan_time" else (3,)
    node = Node("nested", (0,), (("transform", name),), inner)
    return ModuleSpec((ValueType(shape),), (node,), (1,), flag=Flag(), style=style)


def run(spec, *, training, variables=None):
    module, (value,) = build_module(spec), spec.inputs
    x = jnp.asarray(jax.random.normal(jax.random.key(1), (2, *value.shape)))
    rngs, flags = make_rngs(spec, 0, training=training), flag_arguments(spec, training=training)
    if variables is None:
        variables = module.init({"params": jax.random.key(0), **rngs}, x, **flags)
    mutable = DenyList(["params"])
    return variables, *module.apply(variables, x, rngs=rngs, mutable=mutable, **flags)


def fits(spec):
    try:
        value_types(spec)
    except ReadSpecError:
        return False
    return True


@pytest.mark.parametrize("style", ["compact", "setup"])
@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transformed_module_runs_in_both_modes(name, inner, style):
    spec = nested(name, INNER[inner], style=style)
    if not fits(spec):
        assert name in ("scan_time", "remat_scan")
        return
    for training in (True, False):
        _, outputs, _ = jax.eval_shape(lambda m=training: run(spec, training=m))
        assert ValueType(outputs.shape[1:]) == output_types(spec)[0]


def plain(spec):
    (node,) = spec.nodes
    return ModuleSpec(spec.inputs, (Node("nested", (0,), (), node.inner),), (1,), flag=spec.flag)


@pytest.mark.parametrize("name", ["jit", "remat"])
def test_a_transform_that_changes_no_value_changes_none(name):
    spec = nested(name, INNER["state"])
    variables, *expected = run(plain(spec), training=True)
    _, *found = run(spec, training=True, variables=variables)
    assert all(map(jnp.allclose, jax.tree.leaves(expected), jax.tree.leaves(found)))


def test_vmap_makes_an_ensemble():
    variables, outputs, _ = run(nested("vmap", INNER["params"]), training=True)
    kernel = variables["params"]["nested_1"]["Dense_0"]["kernel"]
    assert kernel.shape == (2, 3, 3)
    assert not (kernel[0] == kernel[1]).any()
    assert not (outputs[:, 0] == outputs[:, 1]).any()


def test_scan_runs_layers_one_after_the_other_each_with_its_state():
    variables, outputs, updates = run(nested("scan", INNER["state"]), training=True)
    x = jax.random.normal(jax.random.key(1), (2, 3))
    for kernel in variables["params"]["nested_1"]["Dense_0"]["kernel"]:
        x = x @ kernel
    assert jnp.allclose(outputs, x, atol=1e-6)
    assert updates["counters"]["nested_1"]["count_steps_2"].tolist() == [1, 1]


def test_scan_over_time_has_params_in_common():
    variables, outputs, _ = run(nested("scan_time", INNER["params"]), training=True)
    kernel = variables["params"]["nested_1"]["Dense_0"]["kernel"]
    x = jax.random.normal(jax.random.key(1), (2, 4, 3))
    assert kernel.shape == (3, 3)
    assert jnp.allclose(outputs, x @ kernel, atol=1e-6)


def test_mapped_params_are_doubled_on_the_way_in():
    variables, outputs, _ = run(nested("map_variables", INNER["params"]), training=True)
    x = jax.random.normal(jax.random.key(1), (2, 3))
    kernel = variables["params"]["nested_1"]["Dense_0"]["kernel"]
    assert jnp.allclose(outputs, 2 * x @ kernel, atol=1e-6)
