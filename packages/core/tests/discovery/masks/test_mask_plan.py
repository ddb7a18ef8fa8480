"""Which argument takes a mask and which outputs keep it, by sizes that are all different (A4)."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from flaxlayer_core import (
    ArraySpec,
    MaskForm,
    MaskQuestion,
    MaskUse,
    MethodSignature,
    ModuleCall,
    partition,
    plan_masks,
    wrap_module,
)

# All equal: only other sizes tell them apart.
X = ArraySpec((4, 4, 4), np.dtype("float32"))
LEADING = (MaskUse("mask", MaskForm.LEADING, 0),)
KEYS = (MaskUse("mask", MaskForm.KEYS, 0),)


def plan_of(module, *args, ranks=None, method=None, kwargs=None, **settings):
    flax_module = wrap_module(module)
    call = MethodSignature.from_method(flax_module, method, **settings)
    arrays, structure = partition(args or (X,), kwargs or {})
    asked = ModuleCall(flax_module, call, call, structure)
    return plan_masks(MaskQuestion(asked, tuple(arrays), ranks or {0: 2}))


class Scaled(nn.Module):
    @nn.compact
    def __call__(self, x, mask=None):
        return x if mask is None else x * mask[..., None]


class Required(nn.Module):
    @nn.compact
    def __call__(self, x, *, mask):
        return jnp.sum(x * mask[..., None], axis=1)


class Block(nn.Module):
    @nn.compact
    def __call__(self, x, mask=None):
        return nn.LayerNorm()(x + nn.MultiHeadDotProductAttention(2)(x, mask=mask))


class Windowed(nn.Module):
    """Has no size that is independent of its input."""

    @nn.compact
    def __call__(self, x, mask=None):
        table = self.param("table", nn.initializers.ones, x.shape[1:])
        y = x + table
        return y.mean(1) if mask is None else (y * mask[..., None]).mean(1)


class Branching(nn.Module):
    @nn.compact
    def __call__(self, x, mask=None):
        y = nn.Dense(4)(x) if x.sum() > 0 else x
        return y if mask is None else y * mask[..., None]


@pytest.mark.law("A4")
@pytest.mark.parametrize(
    ("module", "uses"),
    [
        (Scaled(), LEADING),
        (Required(), LEADING),
        (Windowed(), LEADING),
        (Branching(), LEADING),
        (nn.MultiHeadDotProductAttention(2), KEYS),
        (Block(), KEYS),
        (nn.Dense(4), ()),
        (nn.LayerNorm(), ()),
        (nn.RMSNorm(), ()),
        (nn.GroupNorm(2), ()),
        (nn.BatchNorm(), ()),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_a_linen_method_takes_a_mask_in_its_own_form(module, uses):
    assert plan_of(module).uses == uses


@pytest.mark.law("A4")
@pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules need flax 0.11")
def test_a_method_of_nnx_takes_a_mask_in_its_own_form():
    rngs = nnx.Rngs(0)
    attention = nnx.MultiHeadAttention(2, 4, decode=False, rngs=rngs)
    assert plan_of(attention).uses == KEYS
    for norm in (nnx.LayerNorm, nnx.BatchNorm, nnx.RMSNorm):
        assert plan_of(norm(4, rngs=rngs)).uses == ()


@pytest.mark.law("A4")
@pytest.mark.parametrize(
    ("ranks", "source"), [({0: 2}, None), ({1: 2}, 1), ({2: 2}, 2), ({0: 2, 1: 2, 2: 2}, 1)]
)
def test_attention_over_keys_takes_the_mask_of_the_keys(ranks, source):
    expected = () if source is None else (MaskUse("mask", MaskForm.KEYS, source),)
    assert plan_of(nn.MultiHeadDotProductAttention(2), X, X, X, ranks=ranks).uses == expected


@pytest.mark.law("A4")
@pytest.mark.parametrize(
    ("function", "kept"),
    [
        (lambda module, x: x * 2.0, (0,)),
        (lambda module, x: x[..., :1], (0,)),
        (lambda module, x: x[..., 0], (0,)),
        (lambda module, x: x.mean(1), (None,)),
        (lambda module, x: x[:, ::2], (None,)),
        (lambda module, x: x[:, 1:], (None,)),
        (lambda module, x: x.reshape(len(x), -1), (None,)),
        (lambda module, x: x.swapaxes(0, 1), (None,)),
        (lambda module, x: x.swapaxes(1, 2), (None,)),
        (lambda module, x: jnp.ones((12, 12)), (None,)),
        (lambda module, x: {"b": x, "a": x.sum((1, 2))}, (None, 0)),
    ],
)
def test_outputs_that_keep_the_masked_dimensions_keep_the_mask(function, kept):
    assert plan_of(nn.Dense(1), method=function).kept == kept


@pytest.mark.law("A4")
def test_a_module_that_takes_one_length_alone_keeps_no_mask_by_chance():
    table = jnp.ones((4, 4))
    assert plan_of(nn.Dense(1), method=lambda module, x: (x + table).mean(1)).kept == (None,)
    assert plan_of(nn.Dense(1), method=lambda module, x: x + table).kept == (0,)


@pytest.mark.law("A4")
def test_unknown_dimensions_are_no_hindrance():
    x = ArraySpec((None, None, 4), np.dtype("float32"))
    plan = plan_of(nn.MultiHeadDotProductAttention(2), x)
    assert (plan.uses, plan.kept) == (KEYS, (0,))


@pytest.mark.law("A4")
def test_several_inputs_have_masks_of_their_own():
    plan = plan_of(
        nn.Dense(1), [X, X], ranks={0: 2, 1: 2}, method=lambda module, xs: (xs[1], xs[0])
    )
    assert plan.kept == (1, 0)
    plan = plan_of(nn.Dense(1), X, X, ranks={1: 2}, method=lambda module, x, y: x)
    assert plan.kept == (None,)


def both(module, xs, mask=None):
    return sum(x * m[..., None] for x, m in zip(xs, mask, strict=True))


def named(module, query, value, query_mask=None, value_mask=None):
    query = query if query_mask is None else query * query_mask[..., None]
    return query.sum(1) + (value if value_mask is None else value * value_mask[..., None]).sum(1)


@pytest.mark.law("A4")
def test_a_structure_of_inputs_has_masks_in_its_structure():
    plan = plan_of(nn.Dense(1), [X, X], ranks={0: 2, 1: 2}, method=both)
    assert plan.uses == (MaskUse("mask", MaskForm.LEADING, None),)


@pytest.mark.law("A4")
def test_a_structure_of_one_input_has_its_mask_in_it():
    def only(module, inputs, mask=None):
        return inputs["x"] if mask is None else inputs["x"] * mask["x"][..., None]

    plan = plan_of(nn.Dense(1), {"x": X}, method=only)
    assert plan.uses == (MaskUse("mask", MaskForm.LEADING, None),)
    assert plan_of(nn.Dense(1), {"x": X}, method=alone).uses == LEADING


def alone(module, inputs, mask=None):
    return inputs["x"] if mask is None else inputs["x"] * mask[..., None]


@pytest.mark.law("A4")
def test_arguments_named_after_an_input_take_its_mask_as_in_keras():
    plan = plan_of(nn.Dense(1), X, X, ranks={0: 2, 1: 2}, method=named)
    assert [(use.argument, use.source) for use in plan.uses] == [
        ("query_mask", 0),
        ("value_mask", 1),
    ]


@pytest.mark.law("A4")
def test_the_user_says_where_the_mask_goes():
    def padded(module, x, padding=None):
        return x if padding is None else x * padding[..., None]

    assert plan_of(nn.Dense(1), method=padded).uses == ()
    uses = plan_of(nn.Dense(1), method=padded, mask_arg="padding").uses
    assert uses == (MaskUse("padding", MaskForm.LEADING, 0),)
    assert plan_of(Scaled(), mask_arg=None).uses == ()
    # The norm's own error says that it takes no such mask.
    assert plan_of(nn.LayerNorm(), mask_arg="mask").uses == LEADING


@pytest.mark.law("A4")
def test_a_mask_that_the_caller_gave_is_not_replaced():
    mask = ArraySpec((4, 4), np.dtype("bool"))
    assert plan_of(Scaled(), kwargs={"mask": mask}).uses == ()
