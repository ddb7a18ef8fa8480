"""Builds the linen module of a spec (T1)."""

from __future__ import annotations

import hashlib
import itertools
import linecache
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from flaxlayer_testing.render import pieces as blocks
from flaxlayer_testing.render.source import methods_text, nested_specs
from flaxlayer_testing.spec.signature import Signature
from flaxlayer_testing.spec.spec import FLAG_NAMES, Flag, ModuleSpec

__all__ = ["GeneratedModule", "build_module", "module_class"]

MAX_INPUTS = 8


class GeneratedModule(nn.Module):
    """Base of the modules that are built from a spec.

    There is one subclass for each signature and set of methods, because a layer inspects them.
    Each can be imported from here by its name, so that pickling works.

    Attributes:
        spec: The spec as JSON: plain data, so that a layer can store the module (S1).
    """

    spec: str


@dataclass(frozen=True)
class _Form:
    """What the class of a module says of it.

    Attributes:
        signature: What its methods take.
        setup: Whether it makes its submodules in `setup`.
        encodes: Whether it has a method `encode`.
    """

    signature: Signature
    setup: bool = False
    encodes: bool = False

    @classmethod
    def of(cls, spec: ModuleSpec) -> _Form:
        return cls(Signature.of(spec), spec.style == "setup", spec.encoder > 0)

    @property
    def name(self) -> str:
        parts = [str(self.signature.arrays or "Tree"), *("Mask" * self.signature.mask,)]
        parts += [flag_name(self.signature.flag), "Setup" * self.setup, "Encode" * self.encodes]
        return f"Generated{''.join(parts)}"

    @property
    def lines(self) -> list[str]:
        lines = [f"class {self.name}(GeneratedModule):"]
        if self.setup:
            lines += ["    def setup(self):", "        methods_of(self.spec)['setup'](self)"]
        for method in ["encode", "__call__"] if self.encodes else ["__call__"]:
            lines += [] if self.setup else ["    @nn.compact"]
            lines += [
                f"    def {method}(self, {self.signature.parameters}):",
                f"        method = methods_of(self.spec)['{method}']",
                f"        return method(self, {self.signature.call})",
            ]
        return lines


def flag_name(flag: Flag | None) -> str:
    if flag is None:
        return ""
    kind = "Keyword" if flag.keyword_only else ""
    default = "" if flag.default is None else str(flag.default)
    return f"{flag.name.title().replace('_', '')}{kind}{default}"


@cache
def _forms() -> dict[str, _Form]:
    kinds = itertools.product(FLAG_NAMES, (False, True), (None, False, True))
    flags = [None, *(Flag(*kind) for kind in kinds)]
    signatures = itertools.product(range(MAX_INPUTS + 1), (False, True), flags)
    methods = ((False, False), (True, False), (True, True))
    forms = itertools.product(itertools.starmap(Signature, signatures), methods)
    return {form.name: form for form in (_Form(part, *pair) for part, pair in forms)}


def _execute(lines: list[str], filename: str, namespace: dict[str, Any]) -> dict[str, Any]:
    # As dataclasses and attrs do; the line cache lets a traceback show the generated text.
    text = "\n".join(lines) + "\n"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    exec(compile(text, filename, "exec"), namespace)
    return namespace


@cache
def _class_of(name: str) -> type[GeneratedModule]:
    names = {"nn": nn, "GeneratedModule": GeneratedModule, "methods_of": _methods_of}
    namespace = _execute(_forms()[name].lines, f"<{name}>", {**names, "__name__": __name__})
    generated: type[GeneratedModule] = namespace[name]
    return generated


def __getattr__(name: str) -> type[GeneratedModule]:
    if name in _forms():
        return _class_of(name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


@lru_cache(maxsize=1024)
def _methods_of(text: str) -> Mapping[str, Callable[..., Any]]:
    spec = ModuleSpec.from_json(text)
    functions = {name: getattr(blocks, name) for name in blocks.__all__}
    nested = {name: _nested_class(name, inner) for name, inner in nested_specs(spec).items()}
    namespace = {"nn": nn, "jax": jax, "jnp": jnp, **functions, **nested}
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    methods = methods_text(spec)
    lines = [line for part in methods.values() for line in part]
    _execute(lines, f"<spec {digest}>", namespace)
    return {name: namespace[name] for name in methods}


def _nested_class(name: str, spec: ModuleSpec) -> type[GeneratedModule]:
    # A class, not a function that makes a module: lifted transforms of classes want one.
    members = {"spec": spec.to_json(), "__annotations__": {"spec": str}, "__module__": __name__}
    generated: type[GeneratedModule] = type(name, (module_class(spec),), members)
    return generated


def module_class(spec: ModuleSpec) -> type[GeneratedModule]:
    """Returns the class of a spec's signature and methods."""
    return _class_of(_Form.of(spec).name)


def build_module(spec: ModuleSpec) -> GeneratedModule:
    """Builds the linen module of a spec.

    Args:
        spec: A spec.

    Returns:
        A module with a real signature, whose only field is the spec as JSON.

    Raises:
        ReadSpecError: If the spec is not valid.

    Example:

    ```python
    >>> from flaxlayer_testing.spec.spec import ModuleSpec, Node, ValueType
    >>> node = Node("activation", (0,), (("function", "relu"),))
    >>> module = build_module(ModuleSpec((ValueType((2,)),), (node,), (1,)))
    >>> module.apply({}, jnp.array([[-1.0, 2.0]])).tolist()
    [[0.0, 2.0]]

    ```
    """
    text = spec.to_json()
    _methods_of(text)  # So that a wrong spec fails here, not within a trace.
    return module_class(spec)(spec=text)
