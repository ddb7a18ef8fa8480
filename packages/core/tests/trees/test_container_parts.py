"""Objects that JAX has no tree for are taken apart, and made without their constructors (A1)."""

import dataclasses
from collections import OrderedDict, defaultdict, namedtuple
from types import SimpleNamespace

import flax.linen as nn
import jax
import pytest

from flaxlayer_core.trees.container_parts import (
    Container,
    is_container,
    own_attributes,
    plain_container,
    register_plain_container,
)

pytestmark = pytest.mark.law("A1")


class Row(list):
    def __init__(self, *items):
        raise AssertionError("made again by its constructor")


class Named(dict):
    def __getitem__(self, key):
        return "not what it holds"


class Slotted:
    __slots__ = ("width",)


@dataclasses.dataclass
class Record:
    width: int
    table: object


Pair = namedtuple("Pair", ["left", "right"])


def row(*items):
    made = Row.__new__(Row)
    made.extend(items)
    made.title = "row"
    return made


@pytest.mark.parametrize(
    "value",
    [
        row(1, 2),
        Named(a=1),
        OrderedDict(b=1, a=2),
        defaultdict(list, a=[1]),
        Pair(1, 2),
        Record(3, [4]),
        SimpleNamespace(a=1),
    ],
    ids=["list", "dict", "ordered", "default", "namedtuple", "dataclass", "namespace"],
)
def test_an_object_is_made_again_of_its_parts(value):
    again = Container.of(value).build()
    assert type(again) is type(value)
    assert again == value
    assert again is not value
    assert own_attributes(again) == own_attributes(value)
    if isinstance(value, dict):
        assert [*dict.items(again)] == [*dict.items(value)]


def test_parts_are_children_of_a_tree():
    held = Container.of(Record(3, 4))
    doubled = jax.tree_util.tree_map(lambda part: 2 * part, held)
    assert doubled.build() == Record(6, 8)
    assert held.with_children([5, 6]).build() == Record(5, 6)


def test_slots_are_attributes_that_are_there():
    slotted = Slotted()
    assert own_attributes(slotted) == {}
    slotted.width = 3
    assert own_attributes(slotted) == {"width": 3}


def test_containers_are_told_from_settings_and_classes():
    assert all(map(is_container, ([], (), {}, Record(1, 2), SimpleNamespace())))
    assert not any(map(is_container, (nn.Dense(2), Record, 3, "text", Slotted())))


def test_a_registered_class_stands_for_a_plain_one_but_its_subclasses_do_not():
    class Watched(list):
        pass

    class Further(Watched):
        pass

    register_plain_container(Watched, list)
    assert type(plain_container(Watched([1]))) is list
    further = Further([1])
    assert plain_container(further) is further
