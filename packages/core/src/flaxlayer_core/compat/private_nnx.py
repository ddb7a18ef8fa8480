"""The private APIs of nnx that core needs, each with its reason.

Checked with the versions of docs/versions.md (tests/compat/test_private_nnx.py).

- the classes of what `flax.nnx.jit` returns, with the user's function in `__wrapped__`: each value
  that goes through one is another afterwards, so that a call seems to change all state (C3).
- what nnx warns of outside of `nnx.capture` is silenced by its text, while a call is traced (C7).
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator
from typing import Any

__all__ = ["quiet_sow", "variable_value", "without_jit"]


def without_jit(function: Any) -> Any:
    """Returns the function that `nnx.jit` was given, for what it made; anything else as it is."""
    cls = type(function)
    jitted = cls.__module__.startswith("flax.nnx") and cls.__name__.startswith("Jit")
    return getattr(function, "__wrapped__", function) if jitted else function


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
