"""Objects that JAX has no tree for are taken apart, and made without their constructors (A1)."""

import collections
import dataclasses
import types
from collections import OrderedDict, defaultdict, namedtuple
from types import SimpleNamespace

import attrs
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


class OddDict(dict):
    """Gives other items than it holds, and has an attribute."""

    def __getitem__(self, key):
        return "not what is held"

    def items(self):
        raise AssertionError("not to be asked")

    __iter__ = values = keys = items


class OddList(list):
    def __iter__(self):
        return iter(["not what is held"])


class OddTuple(tuple):
    def __new__(cls, items, note):
        made = tuple.__new__(cls, items)
        made.note = note
        return made


class Ordered(collections.OrderedDict):
    pass


class SlotsBase:
    __slots__ = ("x",)


class Slots(SlotsBase):
    __slots__ = ("__dict__", "y")


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: object

    def __post_init__(self):
        assert isinstance(self.x, str), "only what was given first"


@attrs.frozen
class Attrs:
    x: int


Point = collections.namedtuple("Point", "x y")


def odd_dict():
    made = OddDict(a=1, b=2)
    made.note = "text"
    return made


def slots_object():
    made = Slots()
    made.x, made.free = 1, 2  # and `y` stays unset
    return made


def default_dict():
    return collections.defaultdict(list, {"a": 1})


HELD = {
    "list": (lambda: OddList([1, 2]), [1, 2], []),
    "tuple": (lambda: OddTuple([1, 2], "n"), [1, 2], ["note"]),
    "named tuple": (lambda: Point(1, 2), [1, 2], []),
    "dict": (odd_dict, [1, 2], ["note"]),
    "ordered": (lambda: Ordered(b=1, a=2), [1, 2], []),
    "default": (default_dict, [1], ["default_factory"]),
    "frozen": (lambda: Frozen("a"), [], ["x"]),
    "attrs": (lambda: Attrs(3), [], ["x"]),
    "namespace": (lambda: types.SimpleNamespace(b=1, a=2), [], ["b", "a"]),
    "slots": (slots_object, [], ["free", "x"]),
}


def held(value):
    """The items and attributes of an object, by the classes of Python."""
    if isinstance(value, dict):
        items = list(dict.items(value))
    else:
        items = list(tuple.__iter__(value)) if isinstance(value, tuple) else []
        items = list(list.__iter__(value)) if isinstance(value, list) else items
    names = [name for name in ("x", "y", "free", "note", "a", "b") if hasattr(value, name)]
    return items, {name: getattr(value, name) for name in names}


@pytest.mark.parametrize("name", HELD)
def test_an_object_has_its_items_and_attributes_as_parts_and_is_made_of_them_again(name):
    make, items, attributes = HELD[name]
    value = make()
    apart = Container.of(value)
    assert list(apart.children[: len(items)]) == items
    assert sorted(apart.names) == sorted(attributes)
    again = apart.build()
    assert type(again) is type(value)
    assert again is not value
    assert held(again) == held(value)
    if isinstance(value, collections.defaultdict):
        assert again["new"] == []


@pytest.mark.parametrize("name", HELD)
def test_other_parts_make_the_same_object_of_them(name):
    apart = Container.of(HELD[name][0]())
    others = [object() for _ in apart.children]
    if name == "default":
        others[-1] = None  # Python asks for a callable there
    assert Container.of(apart.with_children(others).build()).children == tuple(others)
