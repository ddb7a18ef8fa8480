"""Masks reach the arguments that take them, in the form that they take (A4)."""

import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer_core import LinenModule, MaskForm, MaskUse, MethodSignature, add_masks, partition
from flaxlayer_core.discovery.masks.mask_arguments import argument_names

pytestmark = pytest.mark.law("A4")

X = np.ones((2, 5, 3), np.float32)
MASK = jnp.ones((2, 5), bool)


class Net(nn.Module):
    def __call__(self, queries, keys=None, *, mask=None, keys_mask=None, rate=0.5):
        return queries


CALL = MethodSignature.from_method(LinenModule(Net()), None)


def shapes(masks):
    return jax.tree_util.tree_map(lambda mask: mask.shape, masks)


def test_a_form_says_where_the_time_stands():
    assert MaskForm.LEADING.shape((2, 5)) == (2, 5)
    assert MaskForm.KEYS.shape((2, 5)) == (2, 1, 1, 5)


def test_each_array_belongs_to_an_argument():
    args, kwargs = ([X, X], X), {"rate": 0.25}
    assert argument_names(CALL, partition(args, kwargs)[1]) == ["queries", "queries", "keys"]


@pytest.mark.law("A1")
@pytest.mark.parametrize(
    ("beside", "names"),
    [
        (jax.random.key(0), ["keys"]),
        (types.SimpleNamespace(x=X, y=[X]), ["keys", "keys"]),
        ({"k": jax.random.key(0), "x": X}, ["keys", "keys"]),
    ],
    ids=["typed-key", "namespace", "dict"],
)
def test_what_is_taken_apart_belongs_to_its_argument_too(beside, names):
    by_place = partition((X, beside), {})[1]
    assert argument_names(CALL, by_place) == ["queries", *names]
    by_name = partition((X,), {"keys": beside, "rate": 0.25})[1]
    assert argument_names(CALL, by_name) == ["queries", *names]


def test_a_mask_is_added_to_the_keywords_in_its_form():
    uses = [MaskUse("mask", MaskForm.KEYS, 0), MaskUse("keys_mask", MaskForm.LEADING, 1)]
    other = jnp.ones((2, 7), bool)
    added = add_masks(CALL, (X, X), {"rate": 0.25}, uses, {0: MASK, 1: other})
    assert added.pop("rate") == 0.25
    assert shapes(added) == {"mask": (2, 1, 1, 5), "keys_mask": (2, 7)}


def test_masks_of_the_first_argument_have_its_structure():
    uses = [MaskUse("mask", MaskForm.LEADING, None)]
    added = add_masks(CALL, ({"a": X, "b": X},), {}, uses, {1: MASK})
    assert shapes(added["mask"]) == {"a": None, "b": (2, 5)}


def test_a_mask_is_brought_into_its_form_by_who_calls():
    uses = [MaskUse("mask", MaskForm.KEYS, 0)]
    added = add_masks(CALL, (X,), {}, uses, {0: "mask"}, lambda mask, form: (mask, form.value))
    assert added["mask"] == ("mask", "keys")


class TakesMore(nn.Module):
    def __call__(self, first, second=None, *rest, mask=None, **more):
        return first


TAKES = MethodSignature.from_method(LinenModule(TakesMore()), None)


def test_a_mask_of_one_array_goes_into_its_argument_in_its_form():
    mask = jax.ShapeDtypeStruct((2, 5), bool)
    uses = [MaskUse("mask", MaskForm.KEYS, 0), MaskUse("other", MaskForm.LEADING, 0)]
    given = {"extra": X}
    added = add_masks(TAKES, (X,), given, uses, {0: mask})
    assert {name: value.shape for name, value in added.items()} == {
        "extra": X.shape,
        "mask": (2, 1, 1, 5),
        "other": (2, 5),
    }
    assert added["mask"].dtype == bool
    assert given == {"extra": X}


def test_masks_of_the_first_argument_keep_its_structure_as_in_keras():
    first = {"a": X, "b": [X, "text", X]}
    use = MaskUse("mask", MaskForm.LEADING, None)
    masks = {0: "mask of a", 2: "mask of the last"}
    added = add_masks(TAKES, (first, X), {}, [use], masks, lambda mask, form: (form, mask))
    leading = MaskForm.LEADING
    assert added["mask"] == {
        "a": (leading, "mask of a"),
        "b": [None, None, (leading, "mask of the last")],
    }
