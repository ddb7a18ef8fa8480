"""Classes whose methods run the text of a spec; each can be imported by its name (T1)."""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flaxlayer_testing.spec.signature import Signature
from flaxlayer_testing.spec.spec import ModuleSpec

__all__ = ["ClassForm", "execute", "generated_class"]


def execute(text: str, filename: str, namespace: dict[str, Any]) -> dict[str, Any]:
    """Runs Python text, which a traceback then shows.

    Args:
        text: Python text.
        filename: What a traceback calls it.
        namespace: Its globals.

    Returns:
        The globals with what the text defines.
    """
    # As dataclasses and attrs do.
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    exec(compile(text, filename, "exec"), namespace)
    return namespace


_NAME = re.compile(r"(.+?)(Setup)?(Encode)?")


@dataclass(frozen=True)
class ClassForm:
    """What a generated class says of a spec: a layer inspects it, so there is one for each form.

    Attributes:
        signature: What its methods take.
        setup: Whether it makes its submodules in `setup`.
        encodes: Whether it has a method `encode`.
    """

    signature: Signature
    setup: bool = False
    encodes: bool = False

    @classmethod
    def of(cls, spec: ModuleSpec, *, setup: bool = False) -> ClassForm:
        """Returns the form of a spec, with or without a method `setup`."""
        return cls(Signature.of(spec), setup, spec.encoder > 0)

    @classmethod
    def from_name(cls, name: str) -> ClassForm | None:
        """Returns the form that has a name, None if there is none."""
        found = _NAME.fullmatch(name)
        signature = Signature.from_name(found.group(1)) if found else None
        if found is None or signature is None:
            return None
        return cls(signature, bool(found.group(2)), bool(found.group(3)))

    @property
    def name(self) -> str:
        """All of it as a part of the name of a class: unpickling makes it again from that."""
        return f"{self.signature.name}{'Setup' * self.setup}{'Encode' * self.encodes}"

    def lines(self, name: str, base: str, *, decorator: str = "") -> list[str]:
        """Returns the lines of a class that hands its calls on to `methods_of`, of itself."""
        lines = [f"class {name}({base}):"]
        if self.setup:
            lines += ["    def setup(self):", "        methods_of(self)['setup'](self)"]
        for method in ["encode", "__call__"] if self.encodes else ["__call__"]:
            lines += [f"    {decorator}"] if decorator and not self.setup else []
            lines += [
                f"    def {method}(self, {self.signature.parameters}):",
                f"        method = methods_of(self)['{method}']",
                f"        return method(self, {self.signature.call})",
            ]
        return lines


def generated_class(
    name: str,
    base: type,
    methods_of: Callable[[Any], Mapping[str, Callable[..., Any]]],
    names: Mapping[str, Any],
    *,
    decorator: str = "",
) -> type[Any]:
    """Makes the class of a name, which begins as that of its base.

    Args:
        name: Its name.
        base: Its base class, `...Module`; the class is looked for where that stands.
        methods_of: Returns the functions that a module runs, by their names.
        names: What its text refers to.
        decorator: The text above each method of a class without `setup`.

    Returns:
        A class.

    Raises:
        AttributeError: If no class has this name.
    """
    prefix = base.__name__.removesuffix("Module")
    form = ClassForm.from_name(name.removeprefix(prefix)) if name.startswith(prefix) else None
    if form is None:
        message = f"module {base.__module__!r} has no attribute {name!r}"
        raise AttributeError(message)
    text = "\n".join(form.lines(name, base.__name__, decorator=decorator)) + "\n"
    known = {base.__name__: base, "methods_of": methods_of, "__name__": base.__module__}
    made: type[Any] = execute(text, f"<{name}>", {**names, **known})[name]
    return made
