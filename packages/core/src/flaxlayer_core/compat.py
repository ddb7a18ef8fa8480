"""The private APIs of JAX and Flax that core needs, each with its reason (tests/test_compat.py).

Checked with the versions of docs/versions.md.

- `jax._src.core.trace_state_clean`: JAX has no public question for "is a trace under way?". A
  layer must not run its compiled function, nor assign state, inside one (A6).
- `flax.linen.module._global_interceptor_stack`: method interceptors change what a module does,
  and a compiled function would not see them (A6).
- `jax.interpreters.partial_eval.dce_jaxpr`: JAX has no documented way to cut a traced function down
  to what some of its outputs need; initial values need the initialisers of an init alone (B2).
- `jax.config.jax_default_prng_impl` is a public option that JAX's types do not declare, and that
  its compiled functions do not count as context (R3).
- `jax.random.key_impl` returns an object in JAX 0.4.34 whose only name is in `_impl.name` (C6).
- `Jaxpr.replace`: JAX has no public way to make a program of one operation of another; until 0.5
  the names of arguments and results that it keeps for debugging must be dropped with them (B2).
- the `wrapped` attribute of what linen puts in the place of a descriptor of a class: it is what the
  user wrote there, such as a `property` or a `functools.partialmethod` (A3).
- the classes of what `flax.nnx.jit` returns, with the user's function in `__wrapped__`: each value
  that goes through one is another afterwards, so that a call seems to change all state (C3).
- `jax._src.core.EvalTrace.process_primitive` and `jax._src.pjit._pjit_call_impl_python` are
  replaced for the time of one evaluation, in which a module of a file that cannot be traced runs
  one operation, or one compiled function, after the other: JAX has no hook before it compiles one,
  and XLA ends the process where sizes do not fit into 64 bits (S3).
- `flax.core.scope.Scope.has_rng` and `make_rng` are public, but are replaced for the time of one
  abstract evaluation: a module that asks `has_rng("noise")` before it draws tells no one else
  which streams it knows (R1).
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
from flax.core.scope import Scope
from flax.linen import module as linen_module
from jax._src import core as jax_core
from jax._src import pjit as jax_pjit
from jax.extend import core as extend_core
from jax.interpreters import partial_eval

__all__ = [
    "StreamRecord",
    "before_operations",
    "cut_to_needs",
    "interceptors_active",
    "key_impl",
    "prng_impl",
    "quiet_sow",
    "record_streams",
    "single_operation",
    "trace_state_clean",
    "variable_value",
    "without_jit",
    "wrapped_descriptor",
]


def trace_state_clean() -> bool:
    """Tells whether no JAX transformation is tracing in this thread."""
    return bool(jax_core.trace_state_clean())


def interceptors_active() -> bool:
    """Tells whether a `flax.linen.intercept_methods` context is open in this thread."""
    return bool(linen_module._global_interceptor_stack)


def key_impl(key: jax.Array) -> str:
    """Returns the name of the implementation of a typed key, which `wrap_key_data` takes."""
    spec: Any = jax.random.key_impl(key)
    return spec if isinstance(spec, str) else str(spec._impl.name)


def prng_impl() -> str:
    """Returns the name of JAX's current default key implementation."""
    return str(jax.config.jax_default_prng_impl)  # type: ignore[attr-defined]


def single_operation(jaxpr: Any, equation: Any, inputs: list[Any]) -> Any:
    """Returns the program of one operation of a program, with these of its variables as inputs."""
    changes = {"constvars": [], "invars": inputs, "outvars": equation.outvars, "eqns": [equation]}
    if jax.__version_info__ < (0, 5):
        changes["debug_info"] = None
    return jaxpr.replace(**changes)


def wrapped_descriptor(attribute: Any) -> Any:
    """Returns the descriptor that a class was written with, and anything else as it is."""
    is_linen = type(attribute).__module__ == linen_module.__name__
    return getattr(attribute, "wrapped", attribute) if is_linen else attribute


def without_jit(function: Any) -> Any:
    """Returns the function that `nnx.jit` was given, for what it made; anything else as it is."""
    cls = type(function)
    jitted = cls.__module__.startswith("flax.nnx") and cls.__name__.startswith("Jit")
    return getattr(function, "__wrapped__", function) if jitted else function


@dataclass
class StreamRecord:
    """What a module asked of its rng streams during one evaluation.

    Attributes:
        asked: Streams that `has_rng` was asked for, or that were drawn from.
        drawn: Streams that keys were drawn from.
        replaced: Streams that were drawn from and absent, for which Flax took `params`.
        missing: The stream whose absence ended the evaluation, if one did.
    """

    asked: set[str] = field(default_factory=set)
    drawn: set[str] = field(default_factory=set)
    replaced: set[str] = field(default_factory=set)
    supplied: set[str] = field(default_factory=set)
    missing: str | None = None


_recorders = threading.local()
_patch_lock = threading.RLock()


@contextlib.contextmanager
def record_streams() -> Iterator[StreamRecord]:
    """Records the streams that linen modules ask for and draw from, in this thread only.

    Yields:
        The record, filled while the context is open.
    """
    record = StreamRecord()
    with _patch_lock:
        # Read under the lock: another thread's recording methods must not pass for the originals.
        has_rng, make_rng = Scope.has_rng, Scope.make_rng
        previous = getattr(_recorders, "record", None)
        _replace(*_recording(has_rng, make_rng))
        _recorders.record = record
        try:
            yield record
        finally:
            _recorders.record = previous
            _replace(has_rng, make_rng)


def _replace(has_rng: Any, make_rng: Any) -> None:
    scope: Any = Scope
    scope.has_rng, scope.make_rng = has_rng, make_rng


def _recording(has_rng: Any, make_rng: Any) -> tuple[Any, Any]:
    def recording_has_rng(scope: Scope, name: str) -> bool:
        current: StreamRecord | None = getattr(_recorders, "record", None)
        if current is not None:
            current.asked.add(name)
        return bool(has_rng(scope, name))

    def recording_make_rng(scope: Scope, name: str = "params") -> Any:
        current: StreamRecord | None = getattr(_recorders, "record", None)
        if current is not None:
            _note_draw(scope, name, current)
        return make_rng(scope, name)

    return recording_has_rng, recording_make_rng


def _note_draw(scope: Scope, name: str, record: StreamRecord) -> None:
    if name in scope.rngs:
        record.drawn.add(name)
    elif "params" in scope.rngs:
        # Flax falls back to the params stream.
        record.asked.add(name)
        record.replaced.add(name)
        record.drawn.add("params")
    else:
        record.asked.add(name)
        record.missing = name


@contextlib.contextmanager
def before_operations(look: Callable[[extend_core.ClosedJaxpr], None]) -> Iterator[None]:
    """Shows each operation that runs outside of a trace, in this thread only, before it runs.

    Args:
        look: Gets the operation as a program; what it raises is raised in the place of running.

    Yields:
        Nothing.
    """
    trace: Any = jax_core.EvalTrace
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


def _show(program: Callable[[], Any]) -> None:
    look = getattr(_watchers, "look", None)
    if look is not None:
        _watchers.look = None  # what looking itself runs is not looked at
        try:
            look(program())
        finally:
            _watchers.look = look


def _looking_first(run: Callable[..., Any]) -> Callable[..., Any]:
    def looking(trace: Any, primitive: Any, args: Any, params: Any) -> Any:
        _show(lambda: jax.make_jaxpr(lambda *given: primitive.bind(*given, **params))(*args))
        return run(trace, primitive, args, params)

    return looking


def _looking_at_programs(run: Callable[..., Any]) -> Callable[..., Any]:
    def looking(*args: Any, **params: Any) -> Any:
        _show(lambda: params["jaxpr"])
        return run(*args, **params)

    return looking


def variable_value(variable: Any) -> Any:
    """Returns what an nnx variable holds."""
    # Flax 0.12 has get_value, and deprecates `value`.
    return variable.get_value() if hasattr(variable, "get_value") else variable.value


@contextlib.contextmanager
def quiet_sow() -> Iterator[None]:
    """Silences what nnx says of `Module.sow` and `perturb` outside of `nnx.capture`.

    A layer returns everything that a module sows, of whatever type; `nnx.capture` must be told the
    types beforehand. Used while a call is traced, not when it runs.

    Yields:
        Nothing.
    """
    _enter_quiet()
    try:
        yield
    finally:
        _leave_quiet()


# Python has one list of filters for all threads: the first sets them, the last restores them (A8).
_quiet_lock = threading.Lock()
_quiet: list[warnings.catch_warnings[None]] = []
_quiet_depth = 0


def _enter_quiet() -> None:
    global _quiet_depth
    with _quiet_lock:
        if not _quiet_depth:
            context = warnings.catch_warnings()
            context.__enter__()
            _quiet.append(context)
            for method in ("sow", "perturb"):
                text = rf"\s*Using 'Module.{method}"
                warnings.filterwarnings("ignore", text, DeprecationWarning)
        _quiet_depth += 1


def _leave_quiet() -> None:
    global _quiet_depth
    with _quiet_lock:
        _quiet_depth -= 1
        if not _quiet_depth:
            _quiet.pop().__exit__(None, None, None)


def cut_to_needs(
    traced: extend_core.ClosedJaxpr, wanted: Sequence[bool] | None = None
) -> tuple[extend_core.ClosedJaxpr, list[bool]]:
    """Cuts a traced function down to what its results need.

    Args:
        traced: The traced function.
        wanted: Which of its results to keep, None for all.

    Returns:
        The function of the arguments that are needed, and which those are.
    """
    needed = [True] * len(traced.jaxpr.outvars) if wanted is None else list(wanted)
    jaxpr, used = partial_eval.dce_jaxpr(traced.jaxpr, needed)
    return extend_core.ClosedJaxpr(jaxpr, traced.consts), list(used)
