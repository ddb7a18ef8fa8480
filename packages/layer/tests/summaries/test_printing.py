"""Where a summary goes."""

import io
import sys
import types

import pytest

from flaxlayer.summaries import printing
from flaxlayer.summaries.summary_text import Piece

LINES = [[Piece("Net ", "title"), Piece("[bold]", "trainable")], [], [Piece("├─ x" + " y" * 80)]]
PLAIN = "Net [bold]\n\n├─ x" + " y" * 80


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def printed_in_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    terminal = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal)
        printing.print_lines(LINES, None)
    return terminal.getvalue()


def test_a_function_gets_the_whole_text(capsys):
    got = []
    printing.print_lines(LINES, got.append)
    assert got == [PLAIN]
    assert capsys.readouterr().out == ""


def test_a_terminal_shows_colours(monkeypatch):
    text = printed_in_a_terminal(monkeypatch)
    assert "\x1b[1mNet \x1b[0m\x1b[32m[bold]\x1b[0m" in text
    assert "├─ x" + " y" * 80 in text


def test_without_rich_a_terminal_shows_plain_text(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert printed_in_a_terminal(monkeypatch) == PLAIN + "\n"


def test_a_file_gets_plain_text(capsys):
    printing.print_lines(LINES, None)
    assert capsys.readouterr().out == PLAIN + "\n"


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("utf-8", True), ("ascii", False), ("cp1252", False), ("latin-1", False), (None, True)],
    ids=str,
)
def test_guides_are_written_where_the_output_can(encoding, expected, monkeypatch):
    monkeypatch.setattr(sys, "stdout", types.SimpleNamespace(encoding=encoding))
    assert printing.writes_guides() is expected


def test_a_notebook_is_known_by_its_shell(monkeypatch):
    shown = []
    display = types.SimpleNamespace(HTML=lambda page: ("html", page), display=shown.append)
    shells = {"ZMQInteractiveShell": type("ZMQInteractiveShell", (), {})}
    shells["Shell"] = type("Shell", (shells["ZMQInteractiveShell"],), {})  # that of Colab
    shells["TerminalInteractiveShell"] = type("TerminalInteractiveShell", (), {})
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    for name, expected in [
        ("ZMQInteractiveShell", True),
        ("Shell", True),
        ("TerminalInteractiveShell", False),
    ]:
        ipython = types.SimpleNamespace(get_ipython=shells[name], display=display)
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        assert printing.display_html("<p>") is expected
    assert shown == [("html", "<p>")] * 2
    monkeypatch.delitem(sys.modules, "IPython")
    assert printing.display_html("<p>") is False
