"""Where a summary goes: a function, a notebook, a terminal with colours, or any other."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence

from flaxlayer.summaries.summary_text import Line

__all__ = ["console_width", "display_html", "print_lines", "writes_guides"]

_STYLES = {
    "title": "bold",
    "fact": "dim",
    "head": "bold",
    "name": "bold",
    "trainable": "green",
    "state": "cyan",
    "frozen": "yellow",
    "constant": "dim",
}


def console_width() -> int:
    """Returns how many characters a line of the terminal has."""
    return shutil.get_terminal_size().columns


def writes_guides() -> bool:
    """Tells whether the standard output can write the lines of a tree."""
    encoding = getattr(sys.stdout, "encoding", None)
    try:
        "├─│└…".encode(encoding or "utf-8")  # a text in memory has none
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def plain(lines: Sequence[Line]) -> str:
    """Returns lines as one text."""
    return "\n".join("".join(piece.text for piece in line) for line in lines)


def display_html(page: str) -> bool:
    """Shows HTML in a notebook; tells whether this is one."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if not any(cls.__name__ == "ZMQInteractiveShell" for cls in type(shell).__mro__):
        return False
    from IPython.display import HTML, display

    display(HTML(page))
    return True


def print_lines(lines: Sequence[Line], print_fn: Callable[[str], object] | None) -> None:
    """Prints lines, in colours where `rich` is installed and the output is a terminal.

    Args:
        lines: What is printed.
        print_fn: A function that gets the whole text, None for the standard output.
    """
    if print_fn is not None:
        print_fn(plain(lines))
        return
    if not (_is_terminal() and _print_in_colours(lines)):
        print(plain(lines))


def _is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def _print_in_colours(lines: Sequence[Line]) -> bool:
    """Prints lines by `rich`; tells whether that is installed."""
    try:
        from rich.console import Console
        from rich.text import Text
    except ImportError:
        return False
    text = Text("\n").join(
        Text.assemble(*((piece.text, _STYLES.get(piece.style, "")) for piece in line))
        for line in lines
    )
    Console(highlight=False).print(text, soft_wrap=True)
    return True
