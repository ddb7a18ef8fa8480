"""Builds the linen module of a spec, and the arrays and keys to run it with (T1)."""

from __future__ import annotations

import hashlib
import itertools
import linecache
from collections.abc import Callable, Mapping
from functools import cache, lru_cache, partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from flaxlayer_testing import blocks
from flaxlayer_testing.graph import spec_traits
from flaxlayer_testing.operations import VOCABULARY
from flaxlayer_testing.source import (
    call_text,
    method_text,
    nested_specs,
    parameters_text,
)
from flaxlayer_testing.specs import FLAG_NAMES, Case, Flag, ModuleSpec, ValueType

__all__ = [
    "GeneratedModule",
    "build_module",
    "flag_arguments",
    "init_variables",
    "make_inputs",
    "make_rngs",
    "module_class",
]

MAX_INPUTS = 8


class GeneratedModule(nn.Module):
    """Base of the modules that are built from a spec.

    There is one subclass for each signature, because a layer inspects signatures. Each can be
    imported from here by its name, so that pickling works.

    Attributes:
        spec: The spec as JSON: plain data, so that a layer can store the module (S1).
    """

    spec: str


def _class_name(inputs: int, flag: Flag | None) -> str:
    if flag is None:
        return f"Generated{inputs}"
    kind = "Keyword" if flag.keyword_only else ""
    default = "" if flag.default is None else str(flag.default)
    return f"Generated{inputs}{flag.name.title().replace('_', '')}{kind}{default}"


def _signatures() -> dict[str, tuple[int, Flag | None]]:
    kinds = itertools.product(FLAG_NAMES, (False, True), (None, False, True))
    flags = [None, *(Flag(*kind) for kind in kinds)]
    pairs = itertools.product(range(1, MAX_INPUTS + 1), flags)
    return {_class_name(count, flag): (count, flag) for count, flag in pairs}


_SIGNATURES = _signatures()


def _execute(lines: list[str], filename: str, namespace: dict[str, Any]) -> dict[str, Any]:
    # As dataclasses and attrs do; the line cache lets a traceback show the generated text.
    text = "\n".join(lines) + "\n"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    exec(compile(text, filename, "exec"), namespace)
    return namespace


@cache
def _class_of(name: str) -> type[GeneratedModule]:
    count, flag = _SIGNATURES[name]
    inputs = [f"x{number}" for number in range(count)]
    lines = [
        f"class {name}(GeneratedModule):",
        "    @nn.compact",
        f"    def __call__(self, {parameters_text(inputs, flag)}):",
        "        method = method_of(self.spec)",
        f"        return method(self, {call_text(inputs, flag, flag.name if flag else '')})",
    ]
    names = {"nn": nn, "GeneratedModule": GeneratedModule, "method_of": _method_of}
    namespace = _execute(lines, f"<{name}>", {**names, "__name__": __name__})
    generated: type[GeneratedModule] = namespace[name]
    return generated


def __getattr__(name: str) -> type[GeneratedModule]:
    if name in _SIGNATURES:
        return _class_of(name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


@lru_cache(maxsize=1024)
def _method_of(text: str) -> Callable[..., Any]:
    spec = ModuleSpec.from_json(text)
    functions = {name: getattr(blocks, name) for name in blocks.__all__}
    nested = {
        name: partial(module_class(inner), inner.to_json())
        for name, inner in nested_specs(spec).items()
    }
    namespace = {"nn": nn, "jax": jax, "jnp": jnp, **functions, **nested}
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    lines = method_text(spec)
    method: Callable[..., Any] = _execute(lines, f"<spec {digest}>", namespace)["__call__"]
    return method


def module_class(spec: ModuleSpec) -> type[GeneratedModule]:
    """Returns the class of a spec's signature."""
    return _class_of(_class_name(len(spec.inputs), spec.flag))


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
    >>> from flaxlayer_testing.specs import ModuleSpec, Node, ValueType
    >>> node = Node("activation", (0,), (("function", "relu"),))
    >>> module = build_module(ModuleSpec((ValueType((2,)),), (node,), (1,)))
    >>> module.apply({}, jnp.array([[-1.0, 2.0]])).tolist()
    [[0.0, 2.0]]

    ```
    """
    text = spec.to_json()
    _method_of(text)  # So that a wrong spec fails here, not within a trace.
    return module_class(spec)(spec=text)


def make_inputs(spec: ModuleSpec, batch_size: int, seed: int) -> tuple[np.ndarray[Any, Any], ...]:
    """Makes the inputs of a module: standard normal, or token ids.

    Args:
        spec: A spec.
        batch_size: Size of their first dimension.
        seed: Seed of NumPy's generator.

    Returns:
        One finite array for each input. Raw Flax wants them through `jnp.asarray`: in half
        precision, NumPy's promotion is not JAX's.
    """
    rng = np.random.default_rng(seed)
    return tuple(_make_input(rng, value, batch_size) for value in spec.inputs)


def _make_input(
    rng: np.random.Generator, value: ValueType, batch_size: int
) -> np.ndarray[Any, Any]:
    shape = (batch_size, *value.shape)
    if value.dtype == "int32":
        return rng.integers(0, VOCABULARY, shape).astype(np.int32)
    return rng.standard_normal(shape).astype(jnp.dtype(value.dtype))


def flag_arguments(spec: ModuleSpec, *, training: bool) -> dict[str, bool]:
    """Returns the keyword arguments that put a module's method into a mode (A2)."""
    return {} if spec.flag is None else {spec.flag.name: spec.flag.argument(training)}


def make_rngs(spec: ModuleSpec, seed: int, *, training: bool) -> dict[str, jax.Array]:
    """Returns a key for each stream that a module draws from in a mode (R1)."""
    names = sorted(spec_traits(spec).streams(training))
    return {name: jax.random.key(seed + 1 + number) for number, name in enumerate(names)}


def init_variables(case: Case, *, training: bool = True) -> Mapping[str, Any]:
    """Initialises the module of a case with raw Flax.

    Args:
        case: A module, its batch size and its seed.
        training: The mode; a layer builds in training (B2).

    Returns:
        What `Module.init` returns.
    """
    spec = case.spec
    rngs = {"params": jax.random.key(case.seed), **make_rngs(spec, case.seed, training=training)}
    inputs = map(jnp.asarray, make_inputs(spec, case.batch_size, case.seed))
    arguments: dict[str, Any] = dict(flag_arguments(spec, training=training))
    variables: Mapping[str, Any] = build_module(spec).init(rngs, *inputs, **arguments)
    return variables
