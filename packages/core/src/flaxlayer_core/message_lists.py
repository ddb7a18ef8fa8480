"""Lists in error messages: the first of many, each within one line (§11, S6)."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["in_a_line", "list_some"]


def list_some(texts: Iterable[str], separator: str, *, most: int, longest: int) -> str:
    r"""Returns the first of some texts joined, and how many more there are.

    Args:
        texts: What is listed.
        separator: What stands between them.
        most: How many are listed.
        longest: Characters of each; a longer one is cut.

    Returns:
        One line: in a text with a line break or other control characters these stand as escapes.

    Example:

    ```python
    >>> list_some(["kernel", "bias\n", "scale"], ", ", most=2, longest=100)
    'kernel, bias\\n, and 1 more'

    ```
    """
    every = list(texts)
    more = [f"and {len(every) - most:,} more"] if len(every) > most else []
    return separator.join([*(in_a_line(text, longest) for text in every[:most]), *more])


def in_a_line(text: str, longest: int) -> str:
    """Returns a text, or its beginning, with escapes in the place of control characters."""
    short = text if len(text) <= longest else f"{text[:longest]}..."
    return short if short.isprintable() else repr(short)[1:-1]
