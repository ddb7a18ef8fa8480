import ast
import itertools
import re
import warnings
from dataclasses import replace

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from flaxlayer_testing import (
    FEATURES,
    Flag,
    ModuleSpec,
    Node,
    ValueType,
    build_module,
    build_nnx_module,
    flag_arguments,
    make_rngs,
    output_types,
    spec_traits,
)
from flaxlayer_testing.generate.draw.candidates import assignments
from flaxlayer_testing.generate.draw.interfaces import INPUT_TYPES, MASK
from flaxlayer_testing.render import pieces as blocks
from flaxlayer_testing.render.linen_dialect import LINEN
from flaxlayer_testing.spec.extras import EXTRA_KINDS
from flaxlayer_testing.spec.frameworks import is_of
from flaxlayer_testing.spec.operations import OPERATIONS

TYPES = (
    *INPUT_TYPES,
    ValueType((2, 2), "bfloat16"),
    ValueType((3, 4)),
    ValueType((8,), "float16"),
    ValueType((3, 2)),
    MASK,
)


OF_NNX = [name for name, operation in OPERATIONS.items() if "nnx" in operation.forms]
of_nnx = pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")


def specs_of(name, *, style="compact"):
    arity = OPERATIONS[name].arity
    for types in itertools.product(TYPES, repeat=arity):
        found = assignments(name, types, None, frozenset(), style == "setup")
        for options in dict.fromkeys(found):
            results = OPERATIONS[name].results(types, dict(options))
            outputs = tuple(range(arity, arity + len(results)))
            node = Node(name, tuple(range(arity)), options)
            yield ModuleSpec(types, (node,), outputs, "tuple", Flag(), style=style)


def sample_of(name, *, style="compact"):
    """Returns a spec of each choice of types, and of each option, so that a run is quick."""
    found, seen = [], set()
    for spec in specs_of(name, style=style):
        parts = {spec.inputs, *((spec.inputs[0].dtype, part) for part in spec.nodes[0].options)}
        if not parts <= seen:
            seen |= parts
            found.append(spec)
    return found


def abstract_run(spec, *, training, size=2):
    module = build_module(spec)
    flags = flag_arguments(spec, training=training)
    inputs = [jax.ShapeDtypeStruct((size, *v.shape), jnp.dtype(v.dtype)) for v in spec.inputs]
    rngs = make_rngs(spec, 0, training=training)

    def run(*arrays):
        key = jax.random.key(0)
        init_rngs = {"params": key, **make_rngs(spec, 0, training=True)}
        init_flags = flag_arguments(spec, training=True)
        variables = module.init(init_rngs, *arrays, **init_flags)
        mutable = flax.core.DenyList(["params"])
        return variables, module.apply(variables, *arrays, rngs=rngs, mutable=mutable, **flags)

    return jax.eval_shape(run, *inputs)


@pytest.mark.parametrize("name", OPERATIONS)
def test_results_have_the_type_that_the_registry_says(name):
    for spec in sample_of(name):
        _, (outputs, _) = abstract_run(spec, training=True)
        found = [ValueType(out.shape[1:], out.dtype.name) for out in outputs]
        assert tuple(found) == output_types(spec), spec


@of_nnx
@pytest.mark.parametrize("name", OF_NNX)
def test_an_operation_of_nnx_has_the_results_that_the_registry_says(name):
    specs = [spec for spec in sample_of(name) if is_of(spec, "nnx")]
    assert specs
    for spec in specs[:6]:
        inputs = [jax.ShapeDtypeStruct((2, *v.shape), jnp.dtype(v.dtype)) for v in spec.inputs]

        def run(*arrays, spec=spec):
            module = build_nnx_module(spec, seed=0)
            module.train()
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", ".*sow", DeprecationWarning)
                return module(*arrays, **flag_arguments(spec, training=True))

        found = [ValueType(out.shape[1:], out.dtype.name) for out in jax.eval_shape(run, *inputs)]
        assert tuple(found) == output_types(spec), spec


def shapes_in(tree):
    return sorted((leaf.shape, leaf.dtype.name) for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_does_the_same_in_setup(name):
    for spec in sample_of(name, style="setup")[:3]:
        compact, setup = (
            abstract_run(replace(spec, style=style), training=True)
            for style in ("compact", "setup")
        )
        assert shapes_in(compact) == shapes_in(setup)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", OPERATIONS)
def test_collections_and_streams_are_those_that_the_registry_says(name, training):
    spec = max(specs_of(name), key=lambda spec: len(spec_traits(spec).training_streams))
    traits = spec_traits(spec)
    variables, (_, changed) = abstract_run(spec, training=training)
    assert ("params" in variables) == traits.trainable
    made = set(variables) | set(changed)
    if training:
        # What only inference makes comes about there.
        assert made - {"params"} - traits.transient <= traits.state
    else:
        assert made - {"params"} - traits.transient == traits.state
    assert set(changed) - traits.state <= traits.transient
    assert traits.transient <= made


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "optional_noise"])
def test_no_stream_is_declared_that_is_not_drawn_from(name, training, monkeypatch):
    for spec in specs_of(name):
        if spec_traits(spec).streams(training):
            break
    else:
        return
    declared = make_rngs(spec, 0, training=training)
    monkeypatch.setattr(
        f"{__name__}.make_rngs",
        lambda spec, seed, training: {} if training == mode else declared,
    )
    mode = training
    with pytest.raises(flax.errors.InvalidRngError):
        abstract_run(spec, training=training)


def test_a_stream_that_is_asked_for_is_drawn_from_where_it_is_there():
    (spec,) = (
        spec
        for spec in specs_of("optional_noise")
        if spec.inputs == (ValueType((3,)),) and dict(spec.nodes[0].options)["stream"] == "noise"
    )
    module, x = build_module(spec), jnp.ones((2, 3))
    (plain,) = module.apply({}, x, training=True)
    (noisy,) = module.apply({}, x, training=True, rngs={"noise": jax.random.key(0)})
    assert (plain == x).all()
    assert not (noisy == x).any()


def names_in(spec):
    method = ast.parse("\n".join(LINEN.writer(spec).methods()["__call__"])).body[0]
    return {node.id for node in ast.walk(method) if isinstance(node, ast.Name)}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_takes_the_flag_as_often_as_it_uses_it(name):
    for spec in specs_of(name):
        if "training" in names_in(spec):
            assert spec_traits(spec).uses_flag


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_feature_of_an_operation_is_described(name):
    for spec in specs_of(name):
        assert spec_traits(spec).features <= set(FEATURES)


def test_every_block_is_used_by_an_operation():
    used = {
        name for operation in OPERATIONS for spec in specs_of(operation) for name in names_in(spec)
    }
    texts = " ".join(f"{k.text} {k.value} {k.default}" for k in EXTRA_KINDS.values())
    # The form of the inputs and the outputs, and of a transform.
    elsewhere = {"Gained", "Record", "doubled", "told_by", *re.findall(r"\w+", texts)}
    assert set(blocks.__all__) - elsewhere <= used


@pytest.mark.law("T1")
def test_an_operation_is_there_where_flax_has_what_it_needs():
    assert ("fold_streams" in OPERATIONS) == hasattr(nn, "fold_rngs")
    assert all(hasattr(nn, op.needs) for op in OPERATIONS.values() if op.needs)
