import ast

import flax
import jax
import jax.numpy as jnp
import pytest

from flaxlayer_testing import (
    FEATURES,
    Flag,
    ModuleSpec,
    Node,
    ValueType,
    blocks,
    build_module,
    flag_arguments,
    make_rngs,
    output_types,
    spec_traits,
)
from flaxlayer_testing.drawing import _assignments
from flaxlayer_testing.operations import OPERATIONS
from flaxlayer_testing.source import method_text
from flaxlayer_testing.strategies import INPUT_TYPES

TYPES = (*INPUT_TYPES, ValueType((2, 2), "bfloat16"), ValueType((3, 4)), ValueType((8,), "float16"))


def specs_of(name):
    arity = OPERATIONS[name].arity
    for value in TYPES:
        types = (value,) * arity
        for options in dict.fromkeys(_assignments(name, types, None, frozenset())):
            results = OPERATIONS[name].results(types, dict(options))
            outputs = tuple(range(1, 1 + len(results)))
            node = Node(name, (0,) * arity, options)
            yield ModuleSpec((value,), (node,), outputs, "tuple", Flag())


def abstract_run(spec, *, training):
    module = build_module(spec)
    flags = flag_arguments(spec, training=training)
    inputs = [jax.ShapeDtypeStruct((2, *v.shape), jnp.dtype(v.dtype)) for v in spec.inputs]
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
    for spec in specs_of(name):
        _, (outputs, _) = abstract_run(spec, training=True)
        found = [ValueType(out.shape[1:], out.dtype.name) for out in outputs]
        assert tuple(found) == output_types(spec), spec


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", OPERATIONS)
def test_collections_and_streams_are_those_that_the_registry_says(name, training):
    spec = max(specs_of(name), key=lambda spec: len(spec_traits(spec).training_streams))
    traits = spec_traits(spec)
    variables, (_, changed) = abstract_run(spec, training=training)
    assert ("params" in variables) == traits.trainable
    assert set(variables) - {"params"} - traits.transient == traits.state
    assert set(changed) - traits.state == traits.transient


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", OPERATIONS)
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


def names_in(spec):
    method = ast.parse("\n".join(method_text(spec))).body[0]
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
    assert set(blocks.__all__) <= used
