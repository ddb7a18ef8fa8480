"""The private APIs of nnx that core needs, each with its reason.

Checked with the versions of docs/versions.md (tests/compat/test_private_nnx.py).

- the classes of what `flax.nnx.jit` returns, with the user's function in `__wrapped__`: each value
  that goes through one is another afterwards, so that a call seems to change all state (C3).
- what `nnx.jit` makes of a method binds itself as `functools.partial(method, module)` (A3).
- a draw does `count[...] += 1` on the count of its stream, and Flax then compares the shardings of
  both values. A tracer has none, and JAX searches the whole trace to say so: many draws would take
  quadratic time. So the class of a count is another while a call is traced (R1).
- `out_sharding`, `sharding_names` and `sharding` are names that Flax has had for the metadata of
  mesh axes; `sharding_rules` goes from logical names to these. Nothing public reads them (B5).
- what nnx warns of outside of `nnx.capture` is silenced by its text, while a call is traced (C7).
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
import warnings
from collections.abc import Iterable, Iterator

from flax import nnx

from flaxlayer_core.typing import Leaf, MeshAxes

__all__ = [
    "is_bound_by_hand",
    "quiet_sow",
    "use_fast_counts",
    "variable_axes",
    "variable_value",
    "without_jit",
]


def without_jit(function: object) -> Leaf:
    """Returns the function that `nnx.jit` was given, for what it made; anything else as it is."""
    cls = type(function)
    jitted = cls.__module__.startswith("flax.nnx") and cls.__name__.startswith("Jit")
    return getattr(function, "__wrapped__", function) if jitted else function


def is_bound_by_hand(method: functools.partial[object], base: type) -> bool:
    """Tells whether a partial binds a method of a class to an object, as `nnx.jit` does it.

    Args:
        method: The partial.
        base: The class of Flax that modules derive from.
    """
    if not (method.args and isinstance(method.args[0], base)):
        return False
    owner = type(method.args[0])
    return any(inspect.getattr_static(owner, name) is method.func for name in dir(owner))


def variable_value(variable: Leaf) -> object:
    """Returns what an nnx variable holds."""
    # Flax 0.12 has get_value, and deprecates `value`.
    return variable.get_value() if hasattr(variable, "get_value") else variable.value


class _Count(nnx.RngCount):
    """A count that takes a new value as a whole, whatever device the old one lies on."""

    def __setitem__(self, key: object, value: Leaf) -> None:
        if key is Ellipsis:
            self.set_value(value)
        else:
            super().__setitem__(key, value)


def use_fast_counts(streams: Iterable[nnx.RngStream], *, quickly: bool = True) -> None:
    """Lets streams count draws in a trace without a search through it, or as Flax does.

    Args:
        streams: The streams, which are changed.
        quickly: False to make them as they were.

    Example:

    ```python
    >>> rngs = nnx.Rngs(0)
    >>> use_fast_counts([rngs.default])
    >>> key, count = rngs(), int(rngs.default.count[...])
    >>> use_fast_counts([rngs.default], quickly=False)
    >>> count, type(rngs.default.count) is nnx.RngCount
    (1, True)

    ```
    """
    old, new = (nnx.RngCount, _Count) if quickly else (_Count, nnx.RngCount)
    for stream in streams:
        if type(stream.count) is old:
            stream.count.__class__ = new


# The newest first.
_AXES = ("out_sharding", "sharding_names", "sharding")


def variable_axes(variable: nnx.Variable[object]) -> MeshAxes | None:
    """Returns the mesh axes that the metadata of a variable names, None if it names none."""
    metadata = variable.get_metadata()
    names = next((metadata[name] for name in _AXES if metadata.get(name)), None)
    if names is None:
        return None
    rules = dict(metadata.get("sharding_rules") or ())
    return tuple(rules.get(name, name) for name in names)


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
