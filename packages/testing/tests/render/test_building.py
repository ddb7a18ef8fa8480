"""A generated module with the arrays and keys to run it with."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from flax.core import DenyList
from hypothesis import given, settings

from flaxlayer_testing import (
    ModuleSpec,
    Node,
    ValueType,
    build_module,
    call_arguments,
    cases,
    init_variables,
    make_inputs,
    make_rngs,
    output_types,
)
from flaxlayer_testing.render import pieces as blocks

X = ValueType((3,))
DENSE = Node("dense", (0,), (("features", 2), ("param_dtype", "float32"), ("use_bias", True)))
MASKED = ModuleSpec((ValueType((4, 2)), ValueType((4,), "bool")), (DENSE,), (2,), mask=True)


def leaves(outputs):
    # In the order of the outputs, which is not that of the names `y9` and `y10`.
    return jax.tree.leaves(list(outputs.values()) if isinstance(outputs, dict) else outputs)


@pytest.mark.slow
@settings(max_examples=200)
@given(cases())
def test_every_drawn_module_initialises_and_runs_in_both_modes(case):
    spec, module = case.spec, build_module(case.spec)
    variables = jax.eval_shape(lambda: init_variables(case))
    for training in (True, False):
        rngs = make_rngs(spec, case.seed, training=training)
        args, kwargs = call_arguments(case, rngs, training=training)
        outputs = jax.eval_shape(
            lambda tree, rngs=rngs, args=args, kwargs=kwargs: module.apply(
                tree, *args, rngs=rngs, mutable=DenyList(["params"]), **kwargs
            )[0],
            variables,
        )
        found = [(leaf.shape, leaf.dtype.name) for leaf in leaves(outputs)]
        batch = (case.batch_size,)
        assert found == [(batch + value.shape, value.dtype) for value in output_types(spec)]


@pytest.mark.parametrize(("form", "kind"), [("dict", dict), ("tuple", tuple)])
def test_inputs_stand_in_a_pytree(form, kind):
    (tree,) = make_inputs(replace(MASKED, arguments=form, mask=False), 2, 0)
    assert type(tree) is kind
    assert len(tree) == 2


def test_inputs_and_outputs_stand_in_a_dataclass():
    spec = ModuleSpec((X, X), (DENSE,), (2, 1), "dataclass", arguments="dataclass")
    (record,) = make_inputs(spec, 2, 0)
    outputs, _ = build_module(spec).init_with_output(jax.random.key(0), record)
    assert type(record) is type(outputs) is blocks.Record
    assert outputs.values[0].shape == (2, 2)
    assert (outputs.values[1] == record.values[1]).all()


def test_a_mask_marks_the_beginning_of_a_sequence():
    _, mask = make_inputs(MASKED, 64, 0)
    assert (mask.shape, mask.dtype) == ((64, 4), bool)
    assert mask[:, 0].all()
    assert (mask[:, 1:] <= mask[:, :-1]).all()
    assert not mask.all()


def test_inputs_are_finite_typed_and_depend_on_the_seed_only():
    spec = ModuleSpec((X, ValueType((4,), "int32"), ValueType((), "bfloat16")), (), (0,))
    first, second = make_inputs(spec, 3, 7), make_inputs(spec, 3, 7)
    assert [(a.shape, a.dtype.name) for a in first] == [
        ((3, 3), "float32"),
        ((3, 4), "int32"),
        ((3,), "bfloat16"),
    ]
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a, b)
    assert np.isfinite(first[0]).all()
    assert first[1].min() >= 0
    assert not np.array_equal(first[0], make_inputs(spec, 3, 8)[0])
