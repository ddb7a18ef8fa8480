"""Builds the nnx module of a spec (T1)."""

from __future__ import annotations

import hashlib
import linecache
import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from flaxlayer_testing.errors import ReadSpecError
from flaxlayer_testing.render import pieces as blocks
from flaxlayer_testing.render.nnx_source import class_texts, is_of_nnx
from flaxlayer_testing.render.pieces import of_nnx_modules as nnx_blocks
from flaxlayer_testing.spec.signature import Signature
from flaxlayer_testing.spec.spec import ModuleSpec

__all__ = ["GeneratedNnxModule", "build_nnx_module", "nnx_module_class"]


class GeneratedNnxModule(nnx.Module):
    """Base of the nnx modules that are built from a spec.

    There is one subclass for each signature, because a layer inspects it. Each can be imported
    from here by its name, so that pickling works.

    Args:
        spec: The spec as JSON: plain data, so that a layer can store the module (S1).
        batch_size: The size of the batch, for caches.
        rngs: Streams for the initial values.
    """

    def __init__(self, spec: str, batch_size: int = 2, *, rngs: nnx.Rngs) -> None:
        self.spec, self.batch_size = spec, batch_size
        _methods_of(spec, batch_size)["__init__"](self, rngs=rngs)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor but `rngs`."""
        return {"spec": self.spec, "batch_size": self.batch_size}


def _class_name(signature: Signature, encodes: bool) -> str:
    return f"GeneratedNnx{signature.name}{'Encode' * encodes}"


_NAME = re.compile(r"GeneratedNnx(.+?)(Encode)?")


def _class_lines(name: str) -> list[str]:
    found = _NAME.fullmatch(name)
    signature = Signature.from_name(found.group(1)) if found else None
    if found is None or signature is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    lines = [f"class {name}(GeneratedNnxModule):"]
    for method in ["encode", "__call__"] if found.group(2) else ["__call__"]:
        lines += [
            f"    def {method}(self, {signature.parameters}):",
            f"        method = methods_of(self.spec, self.batch_size)['{method}']",
            f"        return method(self, {signature.call})",
        ]
    return lines


def _execute(text: str, filename: str, namespace: dict[str, Any]) -> dict[str, Any]:
    # The line cache lets a traceback show the generated text.
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    exec(compile(text, filename, "exec"), namespace)
    return namespace


@cache
def _class_of(name: str) -> type[GeneratedNnxModule]:
    names = {"GeneratedNnxModule": GeneratedNnxModule, "methods_of": _methods_of}
    text = "\n".join(_class_lines(name)) + "\n"
    globals_ = {**names, "nnx": nnx, "Side": blocks.Side, "__name__": __name__}
    namespace = _execute(text, f"<{name}>", globals_)
    generated: type[GeneratedNnxModule] = namespace[name]
    return generated


def __getattr__(name: str) -> type[GeneratedNnxModule]:
    return _class_of(name)


@lru_cache(maxsize=1024)
def _methods_of(text: str, batch_size: int) -> Mapping[str, Callable[..., Any]]:
    spec = ModuleSpec.from_json(text)
    pieces = {n: getattr(part, n) for part in (blocks, nnx_blocks) for n in part.__all__}
    namespace = {"nnx": nnx, "jax": jax, "jnp": jnp, **pieces, "__name__": __name__}
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    source = "\n\n\n".join(class_texts(spec, batch_size=batch_size)) + "\n"
    return dict(vars(_execute(source, f"<nnx spec {digest}>", namespace)["Model"]))


def nnx_module_class(spec: ModuleSpec) -> type[GeneratedNnxModule]:
    """Returns the class of a spec's signature and methods."""
    return _class_of(_class_name(Signature.of(spec), spec.encoder > 0))


def build_nnx_module(
    spec: ModuleSpec, *, batch_size: int = 2, seed: int | None = None
) -> partial[GeneratedNnxModule] | GeneratedNnxModule:
    """Builds the nnx module of a spec.

    Args:
        spec: A spec of features that nnx has, as `nnx_modules` draws them.
        batch_size: The size of the batch, for caches.
        seed: The seed of an object; None for what makes one.

    Returns:
        A `functools.partial` of a class, which takes `rngs`; an object, if there is a seed.

    Raises:
        ReadSpecError: If the spec is not valid, or uses what nnx does not have.

    Example:

    ```python
    >>> from flaxlayer_testing.spec.spec import Node, ValueType
    >>> node = Node("activation", (0,), (("function", "relu"),))
    >>> module = build_nnx_module(ModuleSpec((ValueType((2,)),), (node,), (1,)), seed=0)
    >>> module(jnp.array([[-1.0, 2.0]])).tolist()
    [[0.0, 2.0]]

    ```
    """
    if not is_of_nnx(spec):
        raise ReadSpecError(
            "nnx has no such module.",
            expected="operations, cells and transforms that nnx has, too",
            found=repr(spec)[:300],
            fix="Draw specs with `flaxlayer_testing.nnx_modules()`.",
            law="T1",
        )
    text = spec.to_json()
    _methods_of(text, batch_size)  # So that a wrong spec fails here, not within a trace.
    make = partial(nnx_module_class(spec), spec=text, batch_size=batch_size)
    if seed is None:
        return make
    streams = ("default", "params", "dropout", "noise", "drop_path", "sample")
    return make(rngs=nnx.Rngs(**{name: seed + i for i, name in enumerate(streams)}))
