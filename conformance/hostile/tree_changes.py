"""Changes to a JSON tree that keep most of its structure."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

from conformance.hostile import edges

__all__ = ["change_tree"]

_MOST = 4
_VALUES = 20_000  # that one change may add
Place = tuple[Any, ...]


def change_tree(tree: Any, rng: random.Random, *, inside: Place = ()) -> Any:
    """Returns a copy with one to four changes.

    Args:
        tree: A JSON value.
        rng: Chooses them.
        inside: The place under which everything is changed.

    Returns:
        The changed tree.
    """
    holder = [copy.deepcopy(tree)]
    for _ in range(min(rng.randint(1, _MOST), rng.randint(1, _MOST))):
        places = [
            place
            for place in _places(holder)
            if len(place) > 1 and place[1 : 1 + len(inside)] == inside
        ]
        if not places:
            break
        place = rng.choice(places)
        rng.choices(_CHANGES, _WEIGHTS)[0](holder, place, rng)
    return holder[0]


def _places(node: Any, place: Place = ()) -> Iterator[Place]:
    pending = [(node, place)]
    while pending:
        node, place = pending.pop()
        yield place
        if len(place) < 60 and isinstance(node, dict | list):
            items = node.items() if isinstance(node, dict) else enumerate(node)
            pending += [(value, (*place, key)) for key, value in items]


def _at(tree: Any, place: Place) -> Any:
    for key in place:
        tree = tree[key]
    return tree


def _size(tree: Any) -> int:
    return sum(1 + _length(_at(tree, place)) // 100 for place in _places(tree))


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str) else 0


def _put(tree: Any, place: Place, value: Any) -> None:
    _at(tree, place[:-1])[place[-1]] = value


def _replace(tree: Any, place: Place, rng: random.Random) -> None:
    """A value by an edge of its own kind, mostly."""
    value = _at(tree, place)
    if rng.random() < 0.15:
        value = None
    if isinstance(value, bool) or value is None:
        new = rng.choice([*edges.VALUES, *edges.NUMBERS, *edges.TEXTS])
    elif isinstance(value, int | float):
        new = rng.choice(edges.NUMBERS)
    elif isinstance(value, str):
        new = rng.choice(_TEXTS.get(place[-1], edges.NAMES + edges.TEXTS))
    else:
        new = rng.choice(
            [*edges.VALUES, edges.deep(rng.choice([100, 200, 400])), edges.keyed_alike(3_000)]
        )
    _put(tree, place, copy.deepcopy(new))


_TEXTS = {
    "$type": edges.TAGS,
    "data": edges.PAYLOADS,
    "class": edges.NAMES,
    "name": edges.NAMES + edges.TEXTS,
}


def _delete(tree: Any, place: Place, rng: random.Random) -> None:
    del _at(tree, place[:-1])[place[-1]]


def _duplicate(tree: Any, place: Place, rng: random.Random) -> None:
    """An item many times, or a key's value under another key."""
    inner, key = _at(tree, place[:-1]), place[-1]
    if isinstance(inner, list):
        count = min(rng.choice([1, 2, 40]), _VALUES // _size(inner[key]))
        inner[key:key] = [copy.deepcopy(inner[key]) for _ in range(count)]
    else:
        inner[rng.choice([*inner, *edges.KEYS])] = copy.deepcopy(inner[key])


def _transplant(tree: Any, place: Place, rng: random.Random) -> None:
    """A part of the tree in the place of another."""
    _put(tree, place, copy.deepcopy(_at(tree, rng.choice(list(_places(tree))))))


def _rename(tree: Any, place: Place, rng: random.Random) -> None:
    inner, key = _at(tree, place[:-1]), place[-1]
    if isinstance(inner, dict):
        inner[rng.choice(edges.KEYS)] = inner.pop(key)
    else:
        rng.shuffle(inner)


def _wrap(tree: Any, place: Place, rng: random.Random) -> None:
    """A part inside more of the same, or inside lists."""
    value = _at(tree, place)
    for _ in range(rng.choice([1, 1, 2, 30])):
        value = rng.choice([_in_list, _in_tuple, _in_sequential, _in_partial])(value)
    _put(tree, place, value)


def _in_list(value: Any) -> Any:
    return [value]


def _in_tuple(value: Any) -> Any:
    return {"$type": "tuple", "items": [value]}


def _in_sequential(value: Any) -> Any:
    return {"$type": "module", "class": "flax.linen:Sequential", "fields": [["layers", [value]]]}


def _in_partial(value: Any) -> Any:
    return {"$type": "partial", "tree": False, "func": value, "args": [], "keywords": []}


def _share(tree: Any, place: Place, rng: random.Random) -> None:
    """A number on a node, and references to it elsewhere, in a circle too."""
    value = _at(tree, place)
    if isinstance(value, dict):
        value["id"] = rng.choice([0, 1, True, -1, 2**70, "0"])
    other = rng.choice([other for other in _places(tree) if len(other) > 1])
    _put(tree, other, {"$type": "ref", "id": rng.choice([0, 1])})


def _widen(tree: Any, place: Place, rng: random.Random) -> None:
    """Many items where there was one, or many keys."""
    value = _at(tree, place)
    if isinstance(value, list):
        item = rng.choice(value or [None])
        value += [copy.deepcopy(item)] * min(rng.choice([100, 3_000]), _VALUES // _size(item))
    elif isinstance(value, dict):
        value |= {f"key{number}": number for number in range(rng.choice([1, 3_000]))}
    else:
        _put(tree, place, [value] * min(rng.choice([2, 33, 3_000]), _VALUES // _size(value)))


_WEIGHTED = {
    _replace: 10,
    _delete: 2,
    _duplicate: 2,
    _transplant: 4,
    _rename: 2,
    _wrap: 2,
    _share: 1,
    _widen: 1,
}
_CHANGES, _WEIGHTS = list(_WEIGHTED), list(_WEIGHTED.values())
