"""Sets and dictionaries of a file whose items share a hash take no longer than others (S3)."""

import itertools

import flax.linen as nn
import ml_collections  # noqa: F401  (its classes are known where it is imported)
import pytest

from flaxlayer_core import DecodeModuleError
from flaxlayer_core.config import decode_value, encode_value

pytestmark = pytest.mark.law("S3")

MODULUS = (1 << 61) - 1


def stored(value):
    return encode_value(value, path="value")


def signs(length):
    return itertools.product((-1, -2), repeat=length)


COLLIDING = {
    "integers": [stored(index * MODULUS) for index in range(1, 1_000)],
    "tuples": [stored((index * MODULUS, "a")) for index in range(1, 1_000)],
    "signs": [stored(each) for each in signs(10)],
    "complex": [stored(complex(-1_000_003 * index, index)) for index in range(1_000)],
    "frozen sets": [stored(frozenset([index * MODULUS])) for index in range(1, 1_000)],
    "slices of modules": [stored(nn.Conv(3, each)) for each in signs(10)],
}
HOLDERS = {
    "set": lambda items: {"$type": "set", "items": items},
    "frozenset": lambda items: {"$type": "frozenset", "items": items},
    "dict": lambda items: {"$type": "dict", "items": [[item, 1] for item in items]},
    "ordered_dict": lambda items: {"$type": "ordered_dict", "items": [[item, 1] for item in items]},
    "frozen_dict": lambda items: {"$type": "frozen_dict", "items": [[item, 1] for item in items]},
    "config_dict": lambda items: {
        "$type": "config_dict",
        "class": "ml_collections:ConfigDict",
        "items": [[item, 1] for item in items],
        "locked": False,
        "flags": [],
    },
}


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("items", COLLIDING)
def test_items_that_share_a_hash_are_refused(items, holder):
    with pytest.raises(DecodeModuleError, match="keys of one hash") as caught:
        decode_value(HOLDERS[holder](COLLIDING[items]), path="value")
    assert caught.value.law == "S3"


def test_items_that_share_a_hash_are_not_compared_with_each_other(monkeypatch):
    compared = []

    def same(self, other):
        compared.append(other)
        return self is other

    monkeypatch.setattr(nn.Conv, "__eq__", same)
    monkeypatch.setattr(nn.Conv, "__hash__", lambda self: 1)
    items = [stored(nn.Conv(3, (index,))) for index in range(500)]
    with pytest.raises(DecodeModuleError, match="keys of one hash"):
        decode_value(HOLDERS["set"](items), path="value")
    assert compared == []


@pytest.mark.parametrize(
    "value",
    [
        set(itertools.product((-2, -1, 0, 1, 2), repeat=4)),
        dict.fromkeys(range(-5_000, 5_000)),
        {float(index) for index in range(5_000)},
        {f"name_{index}" for index in range(5_000)},
        {1, "1", 1.5, None, (1,), b"1"},
        {},
    ],
    ids=["offsets", "numbers", "floats", "names", "mixed", "empty"],
)
def test_what_models_hold_loads(value):
    assert decode_value(stored(value), path="value") == value
