"""Values that hold while something runs: context variables that are put back."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

__all__ = ["holding"]

Value = TypeVar("Value")
Held = TypeVar("Held", contravariant=True)


class _Holder(Protocol[Held]):
    def set(self, value: Held, /) -> contextvars.Token[Any]: ...

    def reset(self, token: contextvars.Token[Any], /) -> None: ...


@contextlib.contextmanager
def holding(variable: _Holder[Value], value: Value) -> Iterator[Value]:
    """Gives a context variable a value while a context is open.

    Args:
        variable: A `contextvars.ContextVar`.
        value: Its value inside.

    Yields:
        The value.

    Example:

    ```python
    >>> depth = contextvars.ContextVar("depth", default=0)
    >>> with holding(depth, 1):
    ...     depth.get()
    1
    >>> depth.get()
    0

    ```
    """
    token = variable.set(value)
    try:
        yield value
    finally:
        variable.reset(token)
