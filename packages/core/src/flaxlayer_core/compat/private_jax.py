"""The private APIs of JAX that core needs, each with its reason.

Checked with the versions of docs/versions.md (tests/compat/test_private_jax.py).

- `jax._src.core.trace_state_clean`: JAX has no public question for "is a trace under way?". A
  layer must not run its compiled function, nor assign state, inside one (A6).
- `jax.core.eval_context` and `jax._src.config.eager_constant_folding`: what stands in the context
  `jax.ensure_compile_time_eval` has the numbers in the body of a loop computed by themselves, and
  may end in other bits (B2).
  JAX 0.4.34 has one context for both, and no such option.
- `jax.config.jax_default_prng_impl` is a public option that JAX's types do not declare, and that
  its compiled functions do not count as context (R3).
- the dtype of keys prints as `key<fry>` for the default implementation: JAX names the
  implementation of a key, and not that of a dtype (R2).
- JAX asks any object that it is handed for these attributes, to see whether it is an array (R5).
- the name of an axis that nothing binds is in the words of a `NameError` alone (A6).
- `jax.random.key_impl` returns an object in JAX 0.4.34 whose only name is in `_impl.name` (C6).
- `jax._src.core.EvalTrace.process_primitive` and `jax._src.pjit._pjit_call_impl_python` are
  replaced for the time of one evaluation, in which a module of a file that cannot be traced runs
  one operation, or one compiled function, after the other: JAX has no hook before it compiles one,
  and XLA ends the process where sizes do not fit into 64 bits (S3).
- `jax._src.config.traceback_filtering` as a context of this thread, which the public option is not,
  and `jax._src.traceback_util.filter_traceback`: to take JAX's frames out of a traceback costs
  twenty milliseconds for each error, and a search over sizes meets many that nobody sees (B6).
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator

import jax
from jax._src import config as jax_config
from jax._src import core as jax_core
from jax._src import pjit as jax_pjit
from jax._src import traceback_util as jax_tracebacks
from jax.extend import core as extend_core

from flaxlayer_core.typing import Function, Leaf

__all__ = [
    "ASKED_OF_ANY",
    "before_operations",
    "filter_traceback",
    "is_threefry",
    "key_impl",
    "outside_traces",
    "prng_impl",
    "trace_state_clean",
    "unbound_axis",
    "whole_tracebacks",
]

ASKED_OF_ANY = frozenset({"aval", "dtype", "ndim", "shape", "sharding", "weak_type"})

_UNBOUND = re.compile(r"unbound axis name: (\w+)")

_patch_lock = threading.RLock()


def trace_state_clean() -> bool:
    """Tells whether no JAX transformation is tracing in this thread."""
    return bool(jax_core.trace_state_clean())


def unbound_axis(error: NameError) -> str | None:
    """Returns the name of the axis that an operation of JAX found unbound, None for other errors.

    Args:
        error: What was raised.
    """
    found = _UNBOUND.search(str(error))
    return found.group(1) if found else None


@contextlib.contextmanager
def outside_traces() -> Iterator[None]:
    """Opens a context in which all is run as where no JAX transformation is tracing.

    What it runs has the bits that it has outside, and its arrays may outlive the trace.

    Yields:
        Nothing.

    Example:

    ```python
    >>> def traced(x):
    ...     with outside_traces():
    ...         two = float(jax.numpy.ones(2).sum())
    ...     return x + two
    >>> float(jax.jit(traced)(1.0))
    3.0

    ```
    """
    folding: Leaf = getattr(jax_config, "eager_constant_folding", None)
    unfolded = folding(False) if folding is not None else contextlib.nullcontext()
    with jax.core.eval_context(), unfolded:
        yield


def key_impl(key: jax.Array) -> str:
    """Returns the name of the implementation of a typed key, which `wrap_key_data` takes."""
    spec: Leaf = jax.random.key_impl(key)
    return spec if isinstance(spec, str) else str(spec._impl.name)


def prng_impl() -> str:
    """Returns the name of JAX's current default key implementation."""
    return str(jax.config.jax_default_prng_impl)  # type: ignore[attr-defined]


def is_threefry(dtype: object) -> bool:
    """Tells whether a dtype is that of keys of JAX's default implementation.

    Args:
        dtype: Any dtype.

    Returns:
        True for the dtype of `jax.random.key(0, impl="threefry2x32")`.

    Example:

    ```python
    >>> is_threefry(jax.random.key(0).dtype), is_threefry(jax.random.key(0, impl="rbg").dtype)
    (True, False)

    ```
    """
    return str(dtype) == "key<fry>"


@contextlib.contextmanager
def before_operations(look: Callable[[extend_core.ClosedJaxpr], None]) -> Iterator[None]:
    """Shows each operation that runs outside of a trace, in this thread only, before it runs.

    Args:
        look: Gets the operation as a program; what it raises is raised in the place of running.

    Yields:
        Nothing.
    """
    trace: Leaf = jax_core.EvalTrace
    with _patch_lock:
        run, run_compiled = trace.process_primitive, jax_pjit._pjit_call_impl_python
        trace.process_primitive = _looking_first(run)
        jax_pjit._pjit_call_impl_python = _looking_at_programs(run_compiled)
        previous, _watchers.look = getattr(_watchers, "look", None), look
        try:
            yield
        finally:
            trace.process_primitive = run
            jax_pjit._pjit_call_impl_python = run_compiled
            _watchers.look = previous


_watchers = threading.local()


def _show(program: Callable[[], object]) -> None:
    look = getattr(_watchers, "look", None)
    if look is not None:
        _watchers.look = None  # what looking itself runs is not looked at
        try:
            look(program())
        finally:
            _watchers.look = look


def _looking_first(run: Function) -> Function:
    def looking(trace: object, primitive: Leaf, args: Leaf, params: Leaf) -> object:
        _show(lambda: jax.make_jaxpr(lambda *arrays: primitive.bind(*arrays, **params))(*args))
        return run(trace, primitive, args, params)

    return looking


def _looking_at_programs(run: Function) -> Function:
    def looking(*args: object, **params: object) -> object:
        _show(lambda: params["jaxpr"])
        return run(*args, **params)

    return looking


@contextlib.contextmanager
def whole_tracebacks() -> Iterator[None]:
    """Opens a context in which JAX leaves its frames in tracebacks, in this thread only.

    Yields:
        Nothing.
    """
    with jax_config.traceback_filtering("off"):
        yield


def filter_traceback(error: Exception) -> None:
    """Takes the frames of JAX and Flax out of an error's traceback, where JAX is to do so.

    Args:
        error: What was raised in `whole_tracebacks`, and is to be raised outside of it.
    """
    if jax_config.traceback_filtering.value != "off" and error.__traceback__ is not None:
        error.__traceback__ = jax_tracebacks.filter_traceback(error.__traceback__)
