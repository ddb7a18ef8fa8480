"""The public names of the three packages: what they are, where they stand, what is said of them."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from sphinx.pycode import ModuleAnalyzer

__all__ = [
    "PACKAGES",
    "PublicName",
    "UndocumentedError",
    "documented_as",
    "public_names",
    "refuse_undocumented",
]

PACKAGES = ("flaxlayer", "flaxlayer_core", "flaxlayer_testing")


class UndocumentedError(Exception):
    """A public name has no documentation."""


@dataclass(frozen=True)
class PublicName:
    """A name that a package gives to its users.

    Attributes:
        package: The package.
        name: Its name there.
        home: The module that defines it.
        value: What it is.
    """

    package: str
    name: str
    home: str
    value: Any

    @property
    def target(self) -> str:
        """The name under which the site documents it."""
        return f"{self.package}.{self.name}"

    @property
    def kind(self) -> str:
        """The kind of Sphinx's directive."""
        if inspect.isclass(self.value) and self.value.__name__ == self.name:
            return "exception" if issubclass(self.value, BaseException) else "class"
        return "function" if inspect.isroutine(self.value) else "data"

    @property
    def text(self) -> str:
        """What is said of it where it is defined."""
        if self.kind != "data":
            own = vars(self.value).get("__doc__") if self.kind != "function" else self.value.__doc__
            return inspect.cleandoc(own or "")
        found = ModuleAnalyzer.for_module(self.home).find_attr_docs().get(("", self.name), [])
        return "\n".join(found).strip()

    def members(self) -> Iterator[tuple[str, Any]]:
        """Its public methods and properties that are ours."""
        if self.kind not in ("class", "exception"):
            return
        for base in self.value.__mro__:
            if not base.__module__.startswith(PACKAGES):
                continue
            for name, member in vars(base).items():
                if name.startswith("_"):
                    continue
                function = inspect.unwrap(
                    getattr(member, "__func__", None) or getattr(member, "fget", None) or member
                )
                if inspect.isfunction(function):
                    yield name, function


def public_names(package: str | ModuleType) -> list[PublicName]:
    """Returns what `__all__` of a package names, in its order."""
    module = importlib.import_module(package) if isinstance(package, str) else package
    homes = _homes(module)
    return [
        PublicName(module.__name__, name, homes.get(name, module.__name__), getattr(module, name))
        for name in module.__all__
    ]


def documented_as(name: PublicName) -> str:
    """Returns the name under which the site documents it: the first package that gives it does."""
    for package in PACKAGES[: PACKAGES.index(name.package)] if name.package in PACKAGES else ():
        if (
            name.kind != "data"
            and getattr(importlib.import_module(package), name.name, None) is name.value
        ):
            return f"{package}.{name.name}"
    return name.target


def _homes(module: ModuleType) -> dict[str, str]:
    """Returns the module that defines each name: followed through what re-exports it."""
    found: dict[str, str] = {}
    for name, home in _imports(module.__name__).items():
        while name in (further := _imports(home)):
            home = further[name]
        found[name] = home
    return found


@cache
def _imports(name: str) -> dict[str, str]:
    module = importlib.import_module(name)
    tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
    return {
        alias.asname or alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGES)
        for alias in node.names
    }


def refuse_undocumented(names: list[PublicName]) -> None:
    """Raises if a public name, a method or a property of it has no documentation.

    Raises:
        UndocumentedError: It lists them.
    """
    missing = [name.target for name in names if not _says_something(name.text)]
    missing += [
        f"{name.target}.{member}"
        for name in names
        for member, function in name.members()
        if not _says_something(inspect.getdoc(function) or "")
    ]
    if missing:
        raise UndocumentedError(
            "These public names have no docstring: " + ", ".join(sorted(set(missing)))
        )


def _says_something(text: str) -> bool:
    return bool(re.search(r"\w", text))
