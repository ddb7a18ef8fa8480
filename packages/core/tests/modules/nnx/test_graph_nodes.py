"""Modules and streams of a merged nnx module, found where those of another one stood."""

import collections

import jax
import pytest
from flax import nnx

from flaxlayer_core.modules.nnx import graph_nodes
from flaxlayer_core.modules.nnx.graph_nodes import NodePlaces

pytestmark = pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")


@jax.tree_util.register_pytree_with_keys_class
class Pair:
    """A pytree of another library, whose parts have names."""

    def __init__(self, left, right):
        self.left, self.right = left, right

    def tree_flatten_with_keys(self):
        named = [
            (jax.tree_util.GetAttrKey(name), getattr(self, name)) for name in ("left", "right")
        ]
        return named, None

    @classmethod
    def tree_unflatten(cls, aux, children):
        return cls(*children)


class Boxed(Pair):
    """One whose parts stand under other names than it tells."""


def flatten_boxed(boxed):
    return [(jax.tree_util.GetAttrKey("inner"), boxed.left)], boxed.right


jax.tree_util.register_pytree_with_keys(
    Boxed, flatten_boxed, lambda aux, children: Boxed(children[0], aux)
)

Named = collections.namedtuple("Named", "first second")


class Net(nnx.Module):
    def __init__(self, rngs):
        def linear():
            return nnx.Linear(2, 2, rngs=rngs)

        self.listed = nnx.List([linear(), nnx.Dropout(0.1, rngs=rngs)])
        self.by_name = nnx.Dict({"a": linear(), "b": nnx.List([linear()])})
        self.plain = nnx.data(({"x": linear()}, [linear()], Named(linear(), 3)))
        self.pair = nnx.data(Pair(linear(), linear()))
        self.sequence = nnx.Sequential(linear(), nnx.relu, linear())
        self.again = self.listed[0]
        self.rngs = rngs


def walked(module):
    kinds = (nnx.Module, nnx.RngStream)
    return [node for _, node in nnx.iter_graph(module) if isinstance(node, kinds)]


def merged_again(module):
    return nnx.merge(*nnx.split(module))


def same_objects(found, expected):
    return list(map(id, found)) == list(map(id, expected))


@pytest.mark.law("B6")
def test_what_is_found_is_what_a_walk_through_the_graph_finds(monkeypatch):
    net = Net(nnx.Rngs(0, noise=1))
    places, other = NodePlaces(net), merged_again(net)
    expected = walked(other)
    assert len(expected) > 15
    monkeypatch.setattr(graph_nodes, "_walked", None)  # without another walk
    assert same_objects(places.find(other), expected)
    assert not {id(node) for node in expected} & {id(node) for node in walked(net)}


@pytest.mark.law("B6")
def test_parts_that_stand_elsewhere_than_they_tell_are_walked_to():
    class Holder(nnx.Module):
        def __init__(self, rngs):
            self.box = nnx.data(Boxed(nnx.Linear(2, 2, rngs=rngs), 3))

    net = Holder(nnx.Rngs(0))
    other = merged_again(net)
    assert same_objects(NodePlaces(net).find(other), walked(other))


@pytest.mark.law("B6")
def test_a_property_that_gives_something_else_is_walked_past():
    class Hidden(nnx.Module):
        def __init__(self, rngs):
            self.other = nnx.Dropout(0.5)
            self.inner = nnx.Linear(2, 2, rngs=rngs)

        def __getattribute__(self, name):
            return super().__getattribute__("other" if name == "inner" else name)

    net = Hidden(nnx.Rngs(0))
    other = merged_again(net)
    assert same_objects(NodePlaces(net).find(other), walked(other))
