"""How JAX traces and compiles: settings and a check that its public API does not reach.

Checked with the versions of docs/versions.md (tests/compat/test_jax_tracing.py).

- `jax.config` has its options as attributes that JAX's types do not declare; what `jax.jit` keys
  its functions by has no public name (A6).
- `operator` in `jax._src.lax.convolution`: the gradient of a strided convolution computes its
  padding from sizes; a check that means to find wrong types refuses symbolic ones, which all that
  comes after it handles (K2). It is another one only while a thread traces in `symbolic_padding`,
  and for that thread alone.
"""

from __future__ import annotations

import contextlib
import importlib
import operator
import threading
import types
from collections import Counter
from collections.abc import Iterator
from typing import Any

import jax
from jax import export
from jax._src.lax import convolution

__all__ = ["TraceContext", "jit_is_disabled", "symbolic_padding", "trace_context", "tracing_as"]

TraceContext = tuple[bool, str | None, str, bool]


def trace_context() -> TraceContext:
    """Returns the settings of JAX, in this thread, that change what a function is traced to."""
    config: Any = jax.config
    return (
        config.jax_enable_x64,
        config.jax_default_matmul_precision,
        config.jax_numpy_dtype_promotion,
        config.jax_threefry_partitionable,
    )


# JAX 0.8 made it public.
_has_x64: Any = jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")


@contextlib.contextmanager
def tracing_as(context: TraceContext) -> Iterator[None]:
    """Opens a context with settings that `trace_context` returned, here or in another thread."""
    if context == trace_context():
        yield
        return
    x64, precision, promotion, partitionable = context
    with (
        _has_x64.enable_x64(x64),
        jax.default_matmul_precision(precision),
        jax.numpy_dtype_promotion(promotion),
        jax.threefry_partitionable(partitionable),
    ):
        yield


def jit_is_disabled() -> bool:
    """Tells whether `jax.disable_jit` is on in this thread."""
    config: Any = jax.config
    return bool(config.jax_disable_jit)


def symbolic_padding() -> contextlib.AbstractContextManager[None]:
    """Lets a convolution be traced in this thread whose padding is symbolic, while it is open."""
    return _lenient


class _LenientOperator(contextlib.AbstractContextManager[None]):
    """The module `operator` as convolutions see it while any thread needs it so."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: Counter[int] = Counter()
        known = {name: getattr(operator, name) for name in operator.__all__}
        self._operator = types.SimpleNamespace(**{**known, "index": self._index})

    def __enter__(self) -> None:
        with self._lock:
            self._threads[threading.get_ident()] += 1
            self._set(self._operator)

    def __exit__(self, *_: object) -> None:
        thread = threading.get_ident()
        with self._lock:
            self._threads[thread] -= 1
            self._threads += Counter()  # without those that have left
            if not self._threads:
                self._set(operator)

    def _set(self, known: Any) -> None:
        patched: Any = convolution
        patched.operator = known

    def _index(self, dim: Any) -> Any:
        if threading.get_ident() in self._threads and export.is_symbolic_dim(dim):
            return dim
        return operator.index(dim)


_lenient = _LenientOperator()
