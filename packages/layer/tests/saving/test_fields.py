"""Plain fields of a stored configuration are checked by name before anything is made (S3)."""

import json

import flax.linen as nn
import pytest

from flaxlayer import FlaxLayer
from flaxlayer.saving.fields import (
    check_fields,
    check_known,
    check_mapping,
    check_size,
    count_values,
    refuse,
)
from flaxlayer_core import DecodeModuleError, Limits

pytestmark = pytest.mark.law("S3")

LIMITS = Limits()
GOOD = {
    "name": "net",
    "trainable": True,
    "explicit_dtype": False,
    "sharing": None,
    "frozen": ["params/**", {"unfreeze": "params/bias"}],
    "collections.trainable": [],
    "seed": 3,
    "module": {"any": "thing"},
}


def test_fields_of_their_types_pass_in_a_copy():
    found = check_fields(GOOD)
    assert found == GOOD
    assert found is not GOOD


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", 3),
        ("name", "a/b"),
        ("name", "a" * 2000),
        ("trainable", 1),
        ("trainable", None),
        ("explicit_dtype", "yes"),
        ("sharing", ["a"]),
        ("frozen", "params"),
        ("frozen", [1]),
        ("frozen", [{"unfreeze": 1}]),
        ("frozen", [{"freeze": "params"}]),
        ("frozen", [{}]),
        ("collections.trainable", None),
        ("seed", -1),
        ("seed", 2**32),
        ("seed", True),
    ],
    ids=lambda value: f"{value!r:.20}",
)
def test_a_field_of_another_type_is_refused_by_its_name(name, value):
    with pytest.raises(DecodeModuleError) as caught:
        check_fields({**GOOD, name: value})
    assert caught.value.failed == f"The stored configuration of a layer is refused: {name}."
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("config", [None, 3, "text", ["a"], {1: 2}, {"a": 1, None: 2}], ids=str)
def test_what_is_no_object_with_text_for_keys_is_refused(config):
    for check in (check_fields, lambda config: check_mapping(config, "a part")):
        with pytest.raises(DecodeModuleError, match="an object with string keys"):
            check(config)


class Further(FlaxLayer):
    def __init__(self, module, depth=1, **kwargs):
        super().__init__(module, **kwargs)


class Last(Further):
    pass


def test_keys_that_neither_the_layer_nor_its_subclass_has_are_named():
    known = ["name", "module"]
    check_known({"name": 1, "module": 2}, known, FlaxLayer, FlaxLayer)
    for cls in (Further, Last):
        check_known({"name": 1, "depth": 2}, known, cls, FlaxLayer)
    with pytest.raises(DecodeModuleError, match="unknown keys") as caught:
        check_known({"name": 1, "depth": 2, "x": 3}, known, FlaxLayer, FlaxLayer)
    assert caught.value.found == "['x', 'depth']"
    assert caught.value.expected == "module, name"
    assert caught.value.fix.startswith("Leave them out")


def nested(depth):
    value = []
    for _ in range(depth):
        value = {"a": [value]}
    return value


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (lambda: nested(LIMITS.depth // 2 + 1), "levels"),
        (lambda: [0] * (LIMITS.nodes + 1), "values"),
        (lambda: ["a" * (LIMITS.string + 1)], "characters"),
        (lambda: {"a" * (LIMITS.string + 1): 1}, "characters"),
        (lambda: {"a": (1 << (LIMITS.integer_bits + 1),)}, "integers"),
    ],
    ids=["deep", "many", "text", "key", "integer"],
)
def test_a_part_that_is_too_deep_or_too_large_is_refused(value, found):
    with pytest.raises(DecodeModuleError, match=found):
        check_size(value(), "a part")


def test_a_part_within_all_bounds_passes():
    check_size([nested(LIMITS.depth // 2 - 1), "a" * 1000, 1 << 1000, (1, {"a": None})], "a part")
    check_size([0] * (LIMITS.nodes - 1), "a part")


@pytest.mark.parametrize(
    "value", [[], [1, 2], {"a": [[]] * 5}, [{}] * 3, {"a": {"b": {}}}, ""], ids=str
)
def test_a_text_has_at_least_as_many_marks_as_parts(value):
    def parts(value):
        inner = value.values() if isinstance(value, dict) else value
        return (
            sum(1 + parts(each) for each in inner)
            if isinstance(inner, list | type({}.values()))
            else 0
        )

    assert parts(value) <= count_values(json.dumps(value).encode()) <= 2 * parts(value) + 1


def test_a_refusal_is_short_whatever_was_found():
    error = refuse("a part", expected="less", found="x" * 10**6)
    assert len(str(error)) < 1_000
    assert str(error).splitlines()[0].endswith("refused: a part.")


def test_what_a_layer_stores_passes():
    layer = FlaxLayer(nn.Dense(2), name="net", seed=3)
    assert check_fields(layer.get_config()) == layer.get_config()
