"""Plain values from a JSON file that anybody may have written (S3, S6).

Each function returns the value in its own type, or raises a `ValueError` whose message is short.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

__all__ = [
    "items",
    "mapping",
    "number",
    "parse",
    "printable",
    "read",
    "table",
    "text",
    "texts",
    "whole",
]

Value = TypeVar("Value")

MAX_BYTES = 64 * 2**20
MAX_NUMBER = 2**53


def read(path: Path) -> str:
    """Returns the text of a file.

    Args:
        path: A file of at most 64 MiB; nothing more is read of another.

    Returns:
        Its text.

    Raises:
        OSError: If there is no such file.
        ValueError: If it is larger, or no text in UTF-8.
    """
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        message = f"more than {MAX_BYTES:,} bytes"
        raise ValueError(message)
    return content.decode("utf-8")


def parse(written: str) -> Any:
    """Returns the value of a JSON text.

    Raises:
        ValueError: If it is no JSON, or nested too deeply to be read.

    Example:

    ```python
    >>> parse('{"seed": 3}')
    {'seed': 3}
    >>> parse("[" * 100_000)
    Traceback (most recent call last):
    ValueError: nested too deeply

    ```
    """
    try:
        return json.loads(written)
    except RecursionError:
        message = "nested too deeply"
    raise ValueError(message)


def _refused(value: Any, expected: str) -> ValueError:
    found = repr(value) if isinstance(value, bool | int | float | str | None) else type(value)
    return ValueError(f"{str(found)[:60]} where {expected} should be")


def text(value: Any) -> str:
    """Returns a string as a terminal, a page and XML can show it.

    Example:

    ```python
    >>> text("red: " + chr(27) + "[31m")
    'red: ?[31m'

    ```
    """
    if not isinstance(value, str):
        raise _refused(value, "a text")
    return printable(value, instead="?")


def printable(value: str, *, instead: str = "") -> str:
    """Returns a text without control characters and the like, which XML 1.0 does not have."""
    return "".join(char if char.isprintable() or char in "\t\n" else instead for char in value)


def number(value: Any) -> float:
    """Returns a number; an integer only where a float is as precise."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refused(value, "a number")
    if isinstance(value, int) and abs(value) > MAX_NUMBER:
        raise _refused("a huge integer", "a number")
    return value


def whole(value: Any, low: int, high: int) -> int:
    """Returns an integer between two bounds, which may be one of them."""
    if type(value) is not int or not low <= value <= high:
        raise _refused("another value", f"an integer from {low} to {high}")
    return value


def items(value: Any, read_item: Callable[[Any], Value]) -> tuple[Value, ...]:
    """Returns a list whose items are read by a function."""
    if not isinstance(value, list | tuple):
        raise _refused(value, "a list")
    return tuple(map(read_item, value))


def texts(value: Any) -> tuple[str, ...]:
    """Returns a list of strings."""
    return items(value, text)


def mapping(value: Any) -> Mapping[str, Any]:
    """Returns an object of JSON."""
    if not isinstance(value, Mapping):
        raise _refused(value, "an object")
    return value


def table(value: Any, read_item: Callable[[Any], Value]) -> dict[str, Value]:
    """Returns an object of JSON whose values are read by a function."""
    return {text(name): read_item(item) for name, item in mapping(value).items()}
