import inspect
import pickle
import traceback
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.core import DenyList
from hypothesis import given, settings

from flaxlayer_testing import (
    Case,
    Flag,
    ModuleSpec,
    Node,
    ValueType,
    build_module,
    call_arguments,
    cases,
    flag_arguments,
    init_variables,
    make_inputs,
    make_rngs,
    output_types,
)
from flaxlayer_testing.generate.draw.graphs import FLAGS
from flaxlayer_testing.render import linen_module as generated
from flaxlayer_testing.render import pieces as blocks

X = ValueType((3,))
NOISE = Node("training_noise", (0,), (("stream", "noise"),))
DENSE = Node("dense", (0,), (("features", 2), ("param_dtype", "float32"), ("use_bias", True)))


def noisy(flag):
    return ModuleSpec((X, X), (NOISE,), (2,), flag=flag)


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


@pytest.mark.parametrize("flag", FLAGS)
def test_the_signature_of_a_module_is_that_of_its_spec(flag):
    signature = inspect.signature(build_module(noisy(flag)))
    *arrays, last = signature.parameters.values()
    assert [parameter.name for parameter in arrays] == ["x0", "x1"]
    assert last.name == flag.name
    assert (last.kind is last.KEYWORD_ONLY) == flag.keyword_only
    assert last.default is (last.empty if flag.default is None else flag.default)


def test_a_module_without_a_flag_takes_its_inputs_only():
    module = build_module(ModuleSpec((X,), (DENSE,), (1,)))
    assert list(inspect.signature(module).parameters) == ["x0"]


@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_reaches_the_operations(flag):
    spec = noisy(flag)
    x = jnp.ones((2, 3))
    rngs = make_rngs(spec, 0, training=True)
    trained = build_module(spec).apply({}, x, x, rngs=rngs, **flag_arguments(spec, training=True))
    predicted = build_module(spec).apply({}, x, x, **flag_arguments(spec, training=False))
    assert not (trained == x).all()
    assert (predicted == x).all()


BRANCHES = ModuleSpec(
    (ValueType((4, 2)), ValueType((4,), "bool")),
    (
        Node("dense", (0,), DENSE.options),
        Node(
            "dropout", (2,), (("broadcast_dims", ()), ("rate", 0.5), ("rng_collection", "dropout"))
        ),
        Node("apply_mask", (3, 1)),
        Node("again", (0,), (("node", 0),)),
    ),
    (4, 5),
    "nested",
    Flag("train", default=False),
    "dict",
    mask=True,
    style="setup",
    encoder=2,
)


def test_a_module_takes_its_arrays_in_one_pytree_and_a_mask_that_may_be_left_out():
    signature = inspect.signature(build_module(BRANCHES))
    assert str(signature) == "(inputs, mask=None, train=False)"
    x, mask = make_inputs(BRANCHES, 3, 0)
    module = build_module(BRANCHES)
    tree = module.init(jax.random.key(0), x)
    kept, masked = module.apply(tree, x), module.apply(tree, x, mask)
    assert set(kept) == {"first", "rest"}
    assert (masked["first"] == jnp.where(mask[..., None], kept["first"], 0)).all()
    assert not (masked["first"] == kept["first"]).all()


def test_a_mask_is_a_required_argument_where_the_flag_is():
    spec = replace(BRANCHES, flag=Flag("train"))
    assert str(inspect.signature(build_module(spec))) == "(inputs, mask, train)"


def test_a_layer_that_is_called_again_has_its_params_once():
    x, _ = make_inputs(BRANCHES, 2, 0)
    module = build_module(BRANCHES)
    tree = module.init(jax.random.key(0), x)
    outputs = module.apply(tree, x)
    assert set(tree["params"]) == {"layer_2"}
    assert (outputs["first"] == outputs["rest"][0]).all()


def test_a_second_method_is_what_the_first_calls():
    x, _ = make_inputs(BRANCHES, 2, 0)
    module = build_module(BRANCHES)
    tree = module.init(jax.random.key(0), x)
    hidden = module.apply(tree, x, method="encode")
    assert (module.apply(tree, x)["first"] == hidden).all()


@pytest.mark.parametrize(("form", "kind"), [("dict", dict), ("tuple", tuple)])
def test_inputs_stand_in_a_pytree(form, kind):
    (tree,) = make_inputs(replace(BRANCHES, arguments=form, mask=False), 2, 0)
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
    _, mask = make_inputs(BRANCHES, 64, 0)
    assert (mask.shape, mask.dtype) == ((64, 4), bool)
    assert mask[:, 0].all()
    assert (mask[:, 1:] <= mask[:, :-1]).all()
    assert not mask.all()


def test_modules_are_equal_and_hash_alike_for_equal_specs():
    first, second = build_module(noisy(FLAGS[3])), build_module(noisy(FLAGS[3]))
    assert first == second
    assert hash(first) == hash(second)


def test_the_only_field_of_a_module_is_the_spec_as_json():
    spec = noisy(FLAGS[3])
    module = build_module(spec)
    assert ModuleSpec.from_json(module.spec) == spec
    assert type(module)(spec=module.spec) == module


def test_a_module_survives_pickling():
    module = build_module(noisy(FLAGS[5]))
    assert pickle.loads(pickle.dumps(module)) == module


def test_classes_are_importable_by_name():
    module = build_module(noisy(Flag("is_training", True, False)))
    assert type(module).__module__ == "flaxlayer_testing.render.linen_module"
    assert getattr(generated, type(module).__name__) is type(module)
    with pytest.raises(AttributeError, match="Generated99"):
        generated.Generated99  # noqa: B018


def test_a_traceback_shows_the_generated_statement():
    module = build_module(ModuleSpec((X,), (DENSE,), (1,)))
    with pytest.raises(Exception) as caught:
        module.apply({}, jnp.ones((2, 3)))
    text = "".join(traceback.format_exception(caught.value))
    assert "h1 = nn.Dense(features=2, param_dtype=jnp.float32, use_bias=True)(x0)" in text


def test_state_counts_training_calls_only():
    count = Node("count_steps", (0,), (("at_init", False),))
    spec = ModuleSpec((X,), (count,), (1,), flag=Flag())
    variables = init_variables(Case(spec))
    seen = []
    for training in (True, False, True):
        _, variables = build_module(spec).apply(
            variables, jnp.ones((2, 3)), training=training, mutable=["counters"]
        )
        seen.append(int(variables["counters"]["count_steps_1"]))
    assert seen == [1, 1, 2]


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
