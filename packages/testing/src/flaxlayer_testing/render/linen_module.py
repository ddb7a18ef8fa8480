"""Builds the linen module of a spec (T1)."""

from __future__ import annotations

import hashlib
import linecache
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from flaxlayer_testing.errors import ReadSpecError
from flaxlayer_testing.render import pieces as blocks
from flaxlayer_testing.render.source import methods_text, nested_specs
from flaxlayer_testing.spec.signature import Signature
from flaxlayer_testing.spec.spec import ModuleSpec

__all__ = ["GeneratedModule", "build_module", "module_class"]


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

    @classmethod
    def from_name(cls, name: str) -> _Form | None:
        found = _NAME.fullmatch(name)
        signature = Signature.from_name(found.group(1)) if found else None
        if found is None or signature is None:
            return None
        return cls(signature, bool(found.group(2)), bool(found.group(3)))

    @property
    def name(self) -> str:
        return f"Generated{self.signature.name}{'Setup' * self.setup}{'Encode' * self.encodes}"

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


_NAME = re.compile(r"Generated(.+?)(Setup)?(Encode)?")


def _execute(lines: list[str], filename: str, namespace: dict[str, Any]) -> dict[str, Any]:
    # As dataclasses and attrs do; the line cache lets a traceback show the generated text.
    text = "\n".join(lines) + "\n"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    exec(compile(text, filename, "exec"), namespace)
    return namespace


@cache
def _class_of(name: str) -> type[GeneratedModule]:
    names = {"nn": nn, "GeneratedModule": GeneratedModule, "methods_of": _methods_of}
    form = _Form.from_name(name)
    if form is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    globals_ = {**names, "Side": blocks.Side, "__name__": __name__}
    namespace = _execute(form.lines, f"<{name}>", globals_)
    generated: type[GeneratedModule] = namespace[name]
    return generated


def __getattr__(name: str) -> type[GeneratedModule]:
    return _class_of(name)


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


def _refuse_of_nnx(spec: ModuleSpec) -> None:
    of_nnx = [extra.name for extra in spec.extras if extra.kind.as_rngs]
    if of_nnx:
        raise ReadSpecError(
            "linen has no such module.",
            expected="parameters that a linen method may have",
            found=", ".join(of_nnx),
            fix="Build it with `flaxlayer_testing.build_nnx_module`.",
            law="T1",
        )


def build_module(spec: ModuleSpec) -> GeneratedModule:
    """Builds the linen module of a spec.

    Args:
        spec: A spec.

    Returns:
        A module with a real signature, whose only field is the spec as JSON.

    Raises:
        ReadSpecError: If the spec is not valid, or uses what only nnx has.

    Example:

    ```python
    >>> from flaxlayer_testing.spec.spec import ModuleSpec, Node, ValueType
    >>> node = Node("activation", (0,), (("function", "relu"),))
    >>> module = build_module(ModuleSpec((ValueType((2,)),), (node,), (1,)))
    >>> module.apply({}, jnp.array([[-1.0, 2.0]])).tolist()
    [[0.0, 2.0]]

    ```
    """
    _refuse_of_nnx(spec)
    text = spec.to_json()
    _methods_of(text)  # So that a wrong spec fails here, not within a trace.
    return module_class(spec)(spec=text)
