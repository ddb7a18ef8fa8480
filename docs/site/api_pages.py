"""The reference of the three packages, from their docstrings."""

from __future__ import annotations

from itertools import groupby
from textwrap import indent

from docs.site.docstrings import to_rst
from docs.site.public_names import (
    PACKAGES,
    PublicName,
    documented_as,
    public_names,
    refuse_undocumented,
)

__all__ = ["api_pages"]

_FIRST = {
    "flaxlayer": (
        "The layer",
        "What a model is made with: `FlaxLayer` runs a module, `register` makes its class known to "
        "files. The rest is for files, exports, and several processes.",
    ),
    "flaxlayer_testing": (
        "The checks",
        "`check_module` and `parametrize_checks` check a module of yours; the rest draws modules, "
        "chooses checks, and reads what they found.",
    ),
    "flaxlayer_core": (
        "The core",
        "What a module's variables, keys, arguments and configuration are, without Keras. Its "
        "errors are those that a user of the layer meets; the rest is for those who build another "
        "layer.",
    ),
}
_FOR_KERAS = ("call",)  # which is called through the layer, and has a signature for Keras's eyes
_LEADING = {"flaxlayer": ["FlaxLayer", "FlaxMethod", "register", "CollectionPolicy"]}


def api_pages() -> dict[str, str]:
    """Returns a page for each package, by its place.

    Raises:
        UndocumentedError: If a public name has no documentation.
    """
    names = {package: public_names(package) for package in PACKAGES}
    refuse_undocumented([name for known in names.values() for name in known])
    return {f"api/{package}.md": _page(package, known) for package, known in names.items()}


def _page(package: str, names: list[PublicName]) -> str:
    title, intro = _FIRST[package]
    parts = [f"# {title}: `{package}`", intro]
    if package in _LEADING:
        first = _LEADING[package]
        ordered = sorted(names, key=lambda name: ([*first, name.name]).index(name.name))
        parts += [_directives(ordered)]
    else:
        for room, members in groupby(sorted(names, key=_room), key=_room):
            parts += [
                f"## {room.capitalize()}",
                _directives(sorted(members, key=lambda one: one.name)),
            ]
    return "\n\n".join(parts) + "\n"


def _room(name: PublicName) -> str:
    if name.kind == "exception":
        return "errors"
    return [*name.home.split("."), "package"][1].replace("_", " ")


def _directives(names: list[PublicName]) -> str:
    return "\n\n".join(["```{eval-rst}", *map(_directive, names), "```"])


def _directive(name: PublicName) -> str:
    home = documented_as(name)
    if home != name.target:
        return f":py:obj:`{name.name} <{home}>` is that of ``{home.partition('.')[0]}``."
    if name.kind == "data":
        text = "\n".join(to_rst(name.text.splitlines(), name.package))
        return f".. py:data:: {name.target}\n\n{indent(text, '   ')}"
    members = ", ".join(dict.fromkeys(one for one, _ in name.members() if one not in _FOR_KERAS))
    shown = f"\n   :members: {members}" if members else ""
    return f".. auto{name.kind}:: {name.target}{shown}"
