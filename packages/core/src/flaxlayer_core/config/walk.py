"""The two walks: from a value to JSON and back, over a table of kinds."""

from __future__ import annotations

__all__ = ["Decoder", "Encoder", "Kind", "Node", "exactly"]

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from flaxlayer_core.config import world
from flaxlayer_core.config.limits import Limits
from flaxlayer_core.config.plain_values import is_plain
from flaxlayer_core.config.reports import (
    cannot_store,
    describe,
    how_to_store,
    in_full,
    refuse,
    shorten,
)
from flaxlayer_core.config.unknown_names import refuse_unknown
from flaxlayer_core.config.walk_memory import Memory
from flaxlayer_core.trees.container_parts import plain_container
from flaxlayer_core.typing import Leaf

Node = dict[str, object]
"""An object of JSON, as files hold it: what is in it is checked before any use."""

_REFERENCE = "ref"


@dataclass(frozen=True)
class Kind:
    """One kind of value: how it is recognised, stored and restored.

    Args:
        tag: The value of `"$type"` in its JSON object.
        keys: The other keys of that object, all required.
        matches: Whether a value is of this kind.
        encode: From a value, its path and the walk to the object, the tag left out.
        decode: From the object, its path and the walk to the value.
        shared: Whether one object at two places stays one object.
    """

    tag: str
    keys: frozenset[str]
    matches: Callable[[Leaf], bool]
    encode: Callable[[Leaf, str, Encoder], Node]
    decode: Callable[[Node, str, Decoder], object]
    shared: bool = False


def exactly(kind: type) -> Callable[[object], bool]:
    """Returns what matches values of a type and not those of its subclasses."""
    return lambda value: type(value) is kind


@dataclass
class Encoder:
    """One walk from a value to JSON.

    Args:
        kinds: The kinds, the first that matches is used.
        limits: Bounds on what is written.
        namer: Asked first for the stored name of a class or function.
        resolve: Asked first what a name stands for, where a stored form is tried out.
        memory: Shared with the walks that try it out.
        checks: Whether each object is tried out, not only the first of its class.
    """

    kinds: Sequence[Kind]
    limits: Limits
    namer: Callable[[object], str | None] | None = None
    resolve: world.Resolver | None = None
    memory: Memory = field(default_factory=Memory)
    checks: bool = True
    _shared: dict[int, Node] = field(default_factory=dict)
    _open: dict[int, object] = field(default_factory=dict)
    _references: int = 0

    def encode(self, value: object, path: str) -> object:
        """The JSON form of `value`."""
        if is_plain(value):
            return value
        if id(value) in self._open or len(self._open) > self.limits.depth:
            raise self._endless(value, path)
        if id(value) in self._shared:
            return {"$type": _REFERENCE, "id": self._number(self._shared[id(value)])}
        self._open[id(value)] = value
        try:
            return self._encode_open(value, path)
        finally:
            del self._open[id(value)]

    def _encode_open(self, value: object, path: str) -> object:
        value = plain_container(value)
        if type(value) is list:
            return self.items(value, path)
        for kind in self.kinds:
            if kind.matches(value):
                node = {"$type": kind.tag, **kind.encode(value, path, self)}
                if kind.shared:
                    self._shared[id(value)] = node
                return node
        raise cannot_store(path, found=describe(value), fix=how_to_store(value))

    def arguments(
        self, held: Mapping[str, Leaf], path: str, place: str = "{path}.{name}"
    ) -> list[object]:
        """The JSON forms of named arguments; a path is made by `place`, as for `Decoder`."""
        return [
            [name, self.encode(value, place.format(path=path, name=name))]
            for name, value in held.items()
        ]

    def items(self, values: Sequence[object], path: str) -> list[object]:
        """The JSON forms of `values`, which stand at `path[0]`, `path[1]`, ..."""
        return [self.encode(value, f"{path}[{index}]") for index, value in enumerate(values)]

    def name(self, obj: object, path: str) -> str | None:
        """The name that stands for `obj`.

        Raises:
            EncodeModuleError: It stands for another definition, too.
        """
        name = (self.namer(obj) if self.namer else None) or world.name_of(obj, path)
        if name is not None:
            world.check_same(self.memory.names.setdefault(name, obj), obj, path)
        return name

    def fresh(self) -> Encoder:
        """A walk that stores apart from this one, to try something out."""
        return replace(self, checks=False, _shared={}, _open=dict(self._open), _references=0)

    def decoder(self) -> Decoder:
        """A walk back from what this one stores."""
        kinds = {kind.tag: kind for kind in self.kinds}
        return Decoder(kinds, self.limits, self._stands_for)

    def _stands_for(self, name: str) -> object | None:
        found = self.memory.names.get(name)
        return self.resolve(name) if found is None and self.resolve else found

    def canonical(self, value: object, path: str) -> str:
        """JSON text that is equal for equal values, whatever was stored before."""
        apart = replace(self.fresh(), memory=Memory())
        return json.dumps(apart.encode(value, path), sort_keys=True)

    def _number(self, node: Node) -> int:
        # Only what is referred to gets a number, at the first reference.
        if "id" not in node:
            node["id"] = self._references
            self._references += 1
        number = node["id"]
        assert isinstance(number, int)
        return number

    def _endless(self, value: object, path: str) -> Exception:
        found = "a value that contains itself" if id(value) in self._open else "deeper nesting"
        expected = f"at most {self.limits.depth} nested levels"
        return cannot_store(path, expected=expected, found=found, fix="Nest less deeply.", law="S3")


@dataclass
class Decoder:
    """One walk from JSON, already within its bounds, to a value.

    Args:
        kinds: The kinds by tag.
        limits: Bounds on what is read.
        resolve: Asked first for what a name stands for.
        root: All that is read, in which an error looks for further names that are not known.
    """

    kinds: Mapping[str, Kind]
    limits: Limits
    resolve: world.Resolver | None = None
    root: object = None
    size: int = 0
    _shared: dict[int, tuple[object, int]] = field(default_factory=dict)

    def decode(self, node: object, path: str) -> Leaf:
        """The value whose JSON form is `node`."""
        self.grow(1, path)
        if isinstance(node, list):
            return self.items(node, path)
        return self._decode_object(node, path) if isinstance(node, dict) else node

    def _decode_object(self, node: Node, path: str) -> object:
        if node.get("$type") == _REFERENCE:
            return self._follow(node, path)
        kind, before = self._kind(node, path), self.size
        value = kind.decode(node, path, self)
        if "id" in node:
            self._share(node["id"], value, self.size - before, path)
        return value

    def _share(self, number: object, value: object, size: int, path: str) -> None:
        if type(number) is not int or number in self._shared:
            raise refuse(path, expected="a reference number of its own", found=shorten(number))
        self._shared[number] = (value, size)

    def _follow(self, node: Node, path: str) -> object:
        number = node.get("id")
        if type(number) is not int or number not in self._shared or len(node) != 2:
            # A value is shared only once it is whole, so a value can never refer to itself.
            raise refuse(path, expected="a reference to what came before", found=shorten(number))
        value, size = self._shared[number]
        self.grow(size, path)
        return value

    def items(self, nodes: object, path: str) -> list[Leaf]:
        """The values whose JSON forms are the list `nodes`."""
        if not isinstance(nodes, list):
            raise refuse(path, expected="a list", found=shorten(nodes))
        return [self.decode(node, f"{path}[{index}]") for index, node in enumerate(nodes)]

    def pairs(self, nodes: object, path: str) -> list[tuple[Leaf, Leaf]]:
        """The `[left, right]` pairs of the list `nodes`, not decoded."""
        if isinstance(nodes, list) and all(isinstance(n, list) and len(n) == 2 for n in nodes):
            return [(left, right) for left, right in nodes]
        raise refuse(path, expected="a list of pairs", found=shorten(nodes))

    def arguments(self, nodes: object, path: str, place: str = "{path}.{name}") -> dict[str, Leaf]:
        """The values of named arguments; a path is made by `place`."""
        pairs = self.pairs(nodes, path)
        names = [name for name, _ in pairs]
        # Short, since each becomes part of the path of all that is below it.
        if not all(isinstance(name, str) and len(name) < 256 for name in names) or len(
            set(names)
        ) < len(names):
            raise refuse(path, expected="short names that differ", found=shorten(names))
        return {name: self.decode(node, place.format(path=path, name=name)) for name, node in pairs}

    def find(
        self, name: object, path: str, accepts: Callable[[object], bool], expected: str
    ) -> object:
        """What `name` stands for, checked for its kind before any use (S2)."""
        if not isinstance(name, str):
            raise refuse(path, expected=f"the name of {expected}", found=shorten(name))
        found = world.look_up(name, self.resolve)
        if found is None:
            raise refuse_unknown(path, expected, name, self.root, self.resolve)
        if not accepts(found):
            raise refuse(path, expected=expected, found=f"{in_full(name)}, {describe(found)}")
        return found

    def grow(self, amount: int, path: str) -> None:
        """Counts values, those that a reference repeats included."""
        self.size += amount
        if self.size > self.limits.nodes:
            # References that double each other would cost every later walk exponential time.
            expected = f"at most {self.limits.nodes} values, shared modules counted at each place"
            raise refuse(path, expected=expected, found="more", law="S3")

    def _kind(self, node: Node, path: str) -> Kind:
        tag = node.get("$type")
        kind = self.kinds.get(tag) if isinstance(tag, str) else None
        if kind is None:
            raise refuse(path, expected="an object with a known '$type'", found=shorten(tag))
        keys = node.keys() - {"$type"} - ({"id"} if kind.shared else set())
        if keys != kind.keys:
            raise refuse(
                path, expected=f"the keys {sorted(kind.keys)}", found=shorten(sorted(keys))
            )
        return kind
