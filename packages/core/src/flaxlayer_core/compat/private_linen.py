"""The private APIs of linen that core needs, each with its reason.

Checked with the versions of docs/versions.md (tests/compat/test_private_linen.py).

- `flax.linen.module._global_interceptor_stack`: method interceptors change what a module does,
  and a compiled function would not see them (A6).
- the `wrapped` attribute of what linen puts in the place of a descriptor of a class: it is what the
  user wrote there, such as a `property` or a `functools.partialmethod` (A3).
- `flax.core.scope.Scope.has_rng` and `make_rng` are public, but are replaced for the time of one
  abstract evaluation: a module that asks `has_rng("noise")` before it draws tells no one else
  which streams it knows (R1). So is `Scope.temporary`, which each `init` and `apply` enters: one
  inside of another draws from the keys that it is given, not from streams of the module.
- `flax.core.scope.Scope.param` is replaced likewise for the time of one abstract init: it makes
  each param, and no interceptor of methods sees it (B6).
- `flax.core.scope.in_filter`: Flax does not export what tells whether a `mutable` filter holds a
  collection, which may be a bool, a name, a sequence or a `DenyList` (C3).
- `flax.linen.spmd.logical_to_mesh_axes`: `flax.linen` has it, but does not declare it (B5).
- `parent`, `scope`, `_state` and `_parent_ref`: what Flax sets anew on every module class, so that
  it tells nothing about the definition (S2).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import flax.linen as nn
from flax.core.scope import Scope, in_filter
from flax.linen import module as linen_module
from flax.linen.spmd import logical_to_mesh_axes

from flaxlayer_core.typing import Args, Function, Kwargs, Leaf

__all__ = [
    "MODULE_ATTRIBUTES",
    "StreamRecord",
    "StreamWanted",
    "call_context",
    "in_filter",
    "interceptor_count",
    "logical_to_mesh_axes",
    "record_streams",
    "watch_params",
    "wrapped_descriptor",
]

MODULE_ATTRIBUTES = frozenset({"parent", "scope", "_state", "_parent_ref"})


def call_context() -> tuple[tuple[object, ...], ...] | None:
    """Returns the logical axis rules, which change what a call does; None under interceptors."""
    if interceptor_count():
        return None
    rules = nn.get_logical_axis_rules()
    return tuple(map(tuple, rules)) if rules else ()


def interceptor_count() -> int:
    """Returns how many method interceptors are under way in this thread."""
    return len(linen_module._global_interceptor_stack)


def wrapped_descriptor(attribute: object) -> object:
    """Returns the descriptor that a class was written with, and anything else as it is."""
    is_linen = type(attribute).__module__ == linen_module.__name__
    return getattr(attribute, "wrapped", attribute) if is_linen else attribute


@dataclass
class StreamRecord:
    """What a module asked of its rng streams during one evaluation.

    Attributes:
        asked: Streams that `has_rng` was asked for, or that were drawn from.
        drawn: Streams that keys were drawn from.
        replaced: Streams that were drawn from and absent, for which Flax took `params`.
        missing: The stream whose absence ended the evaluation, if one did.
        roots: The scopes of Flax's `init` and `apply` under way, each inside of the one before.
        offered: The streams of this evaluation, which ends at the first other one that is wanted;
            None where it goes on.
        optimistic: Whether a stream is wanted that `has_rng` is asked for, or only one that Flax
            takes `params` for.
    """

    asked: set[str] = field(default_factory=set)
    drawn: set[str] = field(default_factory=set)
    replaced: set[str] = field(default_factory=set)
    supplied: set[str] = field(default_factory=set)
    missing: str | None = None
    roots: list[Scope] = field(default_factory=list)
    offered: frozenset[str] | None = None
    optimistic: bool = False

    @property
    def wanted(self) -> set[str]:
        """The streams that the module is to be given."""
        return self.asked if self.optimistic else self.replaced

    def end_if_wanting(self) -> None:
        """Ends the evaluation where a stream is wanted that it was not offered."""
        if self.offered is not None and not self.wanted <= self.offered:
            raise StreamWanted


class StreamWanted(BaseException):
    """Ends an evaluation that has shown a stream to begin anew with (R1); no module handles it."""


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
        originals = Scope.has_rng, Scope.make_rng, Scope.temporary
        previous = getattr(_recorders, "record", None)
        _replace(*_recording(*originals))
        _recorders.record = record
        try:
            yield record
        finally:
            _recorders.record = previous
            _replace(*originals)


@contextlib.contextmanager
def watch_params(make: Callable[[Function, Scope, Args, Kwargs], object]) -> Iterator[None]:
    """Lets a function make the params of linen modules, in this thread only.

    Args:
        make: Takes `Scope.param`, the scope, and the arguments and keyword arguments for it.

    Yields:
        Nothing.
    """
    scopes: Leaf = Scope
    with _patch_lock:
        original: Leaf = Scope.param
        previous = getattr(_recorders, "make", None)

        def watched_param(scope: Scope, *args: object, **kwargs: object) -> object:
            watching = getattr(_recorders, "make", None)
            if watching is None:
                return original(scope, *args, **kwargs)
            return watching(original, scope, args, kwargs)

        scopes.param, _recorders.make = watched_param, make
        try:
            yield
        finally:
            scopes.param, _recorders.make = original, previous


def _replace(has_rng: object, make_rng: object, temporary: object) -> None:
    scope: Leaf = Scope
    scope.has_rng, scope.make_rng, scope.temporary = has_rng, make_rng, temporary


def _current() -> StreamRecord | None:
    """Returns the record of this thread, None inside of an `init` or `apply` of another module."""
    current: StreamRecord | None = getattr(_recorders, "record", None)
    return current if current is not None and len(current.roots) < 2 else None


def _recording(
    has_rng: Leaf, make_rng: Leaf, temporary: Leaf
) -> tuple[Function, Function, Function]:
    def recording_has_rng(scope: Scope, name: str) -> bool:
        if (current := _current()) is not None:
            current.asked.add(name)
            current.end_if_wanting()
        return bool(has_rng(scope, name))

    def recording_make_rng(scope: Scope, name: str = "params") -> object:
        if (current := _current()) is not None:
            _note_draw(scope, name, current)
        return make_rng(scope, name)

    @contextlib.contextmanager
    def recording_temporary(scope: Scope) -> Iterator[Scope]:
        current: StreamRecord | None = getattr(_recorders, "record", None)
        roots = current.roots if current is not None else []
        with temporary(scope) as root:
            # The methods of an outer context, which these replaced, have noted it then.
            known = bool(roots) and roots[-1] is scope
            roots += () if known else (scope,)
            try:
                yield root
            finally:
                if not known:
                    roots.pop()

    return recording_has_rng, recording_make_rng, recording_temporary


def _note_draw(scope: Scope, name: str, record: StreamRecord) -> None:
    if name in scope.rngs:
        record.drawn.add(name)
    elif "params" in scope.rngs:
        # Flax falls back to the params stream.
        record.asked.add(name)
        record.replaced.add(name)
        record.drawn.add("params")
        record.end_if_wanting()
    else:
        record.asked.add(name)
        record.missing = name
