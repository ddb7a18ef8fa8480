"""The error of names that are not known, which lists all of them at once (S2)."""

from __future__ import annotations

__all__ = ["refuse_unknown"]

import itertools
from collections.abc import Iterator

from flaxlayer_core.config import world
from flaxlayer_core.config.reports import in_full, refuse

_MOST = 20
_CHARACTERS = 2_000
# Where the objects of each kind have the name of a class or a function.
_PLACES = {
    **dict.fromkeys(
        ("module", "enum", "namedtuple", "dataclass", "lifted", "method", "object", "config_dict"),
        "class",
    ),
    "class": "name",
    "function": "name",
}


def refuse_unknown(
    path: str, expected: str, name: str, root: object, resolve: world.Resolver | None
) -> Exception:
    """The error of a name at `path`, with every other name in `root` that is not known either."""
    found = dict(_names(root))
    others = (each for each in found if world.look_up(each, resolve) is None)
    missing = [*dict.fromkeys([name, *others])]
    listed = _within(missing[:_MOST])
    more = f" and {len(missing) - len(listed)} more" if len(missing) > len(listed) else ""
    known = "known to this process: stock Flax, registered, or handed to a layer"
    return refuse(
        path,
        expected=f"{expected} {known}",
        found=", ".join(map(in_full, listed)) + more,
        fix=_fix(listed, found),
    )


def _within(names: list[str]) -> list[str]:
    """The first names that are not too long together, one at least; each stands three times."""
    lengths = itertools.accumulate(len(in_full(name)) for name in names)
    return names[: max(sum(length <= _CHARACTERS for length in lengths), 1)]


def _names(root: object) -> Iterator[tuple[str, str]]:
    """Each name, with what `register` must be given besides."""
    pending = [root]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            pending.extend(reversed(node.values()))
            tag = node.get("$type")
            name = node.get(_PLACES.get(tag, "")) if isinstance(tag, str) else None
            if isinstance(name, str):
                coded = node.get("protocol") == "registered"
                yield name, ", encode=..., decode=..." if coded else ""
        elif isinstance(node, list):
            pending.extend(reversed(node))


def _fix(names: list[str], besides: dict[str, str]) -> str:
    calls = "; ".join(f"{_registration(name)}{besides.get(name, '')})" for name in names)
    objects = ", ".join(f"{_key(name, names)!r}: {_expression(name)}" for name in names)
    return (
        f"Before loading, import what you trust of these and run: {calls}. "
        f"Or load with custom_objects={{{objects}}}."
    )


def _registration(name: str) -> str:
    """The call that makes a name known, without the end."""
    package, own = world.split_registered(name)
    if not own:
        return f"flaxlayer.register({_expression(name)}"
    called = "" if package == "flaxlayer" else f"package={_short(package)!r}, "
    return f"flaxlayer.register({_short(own)}, {called}name={_short(own)!r}"


def _expression(name: str) -> str:
    """What stands for the class in a program that imported its module."""
    own = world.split_registered(name)[1]
    if own:
        return _short(own)
    module, _, qualname = name.partition(":")
    if module == "__main__" or "<" in qualname:
        return _short(world.plain_name(name))
    return _short(f"{module}.{qualname}")


def _key(name: str, names: list[str]) -> str:
    plain = world.plain_name(name)
    is_alone = [world.plain_name(each) for each in names].count(plain) == 1
    return _short(plain if is_alone else name)


def _short(text: str) -> str:
    return in_full(text)[1:-1]
