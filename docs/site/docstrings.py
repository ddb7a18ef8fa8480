"""The docstrings of the packages, which are Markdown in Google's sections, for Sphinx."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from docutils.nodes import TextElement, document
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.inspect import stringify_signature

from docs.site.public_names import PACKAGES, documented_as, public_names

__all__ = ["setup", "to_rst"]

_CODE = re.compile(r"(?<![`\w])`([^`\n]+)`(\w?)")


@cache
def _targets(package: str) -> dict[str, str]:
    """Returns what is documented, by the names that docstrings of a package use."""
    others = [other for other in reversed(PACKAGES) if other != package]
    names = [name for one in [*others, package] for name in public_names(one)]
    return {
        short: target
        for name in names
        for home in [documented_as(name)]
        for short, target in [
            (name.name, home),
            *((f"{name.name}.{m}", f"{home}.{m}") for m, _ in name.members()),
        ]
    }


def to_rst(lines: list[str], package: str) -> list[str]:
    """Returns a docstring with code as reStructuredText, and links to what the site documents.

    Args:
        lines: The docstring.
        package: The package that it is of.
    """
    return list(_converted(lines, _targets(package)))


def _converted(lines: list[str], targets: dict[str, str]) -> Iterator[str]:
    fenced = False
    for line in lines:
        text = line.strip()
        if text.startswith("```"):
            fenced = not fenced
            before = line[: len(line) - len(line.lstrip())]
            yield from ([f"{before}.. code-block:: {text[3:] or 'text'}", ""] if fenced else [""])
        elif fenced:
            yield f"   {line}" if text else ""
        else:
            yield _CODE.sub(lambda found: _role(found, targets), line)


def _role(found: re.Match[str], targets: dict[str, str]) -> str:
    code, after = found.groups()
    name = code.removesuffix("()")
    if re.fullmatch(r"[a-z]+", code):
        return _plain(code, after)  # an argument, more often than a function of that name
    gap = f"\\ {after}" if after else ""
    if name in targets:
        return f":py:obj:`{code} <{targets[name]}>`{gap}"
    return _plain(code, after)


def _plain(code: str, after: str) -> str:
    return f"``{code}``\\ {after}" if after else f"``{code}``"


def _convert(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    package = name.partition(".")[0]
    if package in PACKAGES:
        lines[:] = to_rst(lines, package)


def _sign(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str, returned: str
) -> tuple[str, str] | None:
    """Gives a layer the signature of its constructor: that of Keras's `__new__` says nothing."""
    if what != "class" or not name.startswith(PACKAGES) or signature != "(*args, **kwargs)":
        return None
    own = inspect.signature(obj.__init__)
    named = [p.replace(annotation=p.empty) for p in list(own.parameters.values())[1:]]
    return stringify_signature(own.replace(parameters=named, return_annotation=own.empty)), returned


def _aim(app: Sphinx, doctree: document) -> None:
    """Gives types that a signature names alone their whole names: two packages may share one."""
    package = app.env.docname.rpartition("/")[2]
    if package not in PACKAGES:
        return
    for node in doctree.findall(pending_xref):
        if node.get("refdomain") == "py" and node["reftarget"] in _targets(package):
            node["reftarget"] = _targets(package)[node["reftarget"]]


def _find(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: TextElement
) -> TextElement | None:
    """Finds what a type names by the module that defines it, and leaves others' names as they are.

    A name of ours that is not public, such as a type in a signature, has no link; one that does
    not exist is left to Sphinx, which warns.
    """
    target = node.get("reftarget", "")
    package, _, rest = target.partition(".")
    if package not in PACKAGES:
        return content if node.get("refdomain") == "py" else None
    short = target.rpartition(".")[2]
    public = _documented().get(short)
    if public is not None and not target.startswith(public):
        domain = env.domains.python_domain
        return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", public, node, content)
    return content if rest and _exists(target) else None


@cache
def _documented() -> dict[str, str]:
    return {name: target for package in PACKAGES for name, target in _targets(package).items()}


def _exists(target: str) -> bool:
    module, _, name = target.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), name)
    except ModuleNotFoundError:
        return False


def setup(app: Sphinx) -> dict[str, bool]:
    """Is called by Sphinx."""
    app.connect("autodoc-process-docstring", _convert, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", _sign)
    app.connect("doctree-read", _aim)
    app.connect("missing-reference", _find)
    return {"parallel_read_safe": True}
