"""How far a run is: a bar on a terminal, else a line now and then (T8)."""

import pytest
from rich.console import Console

from flaxlayer_testing.checks import checks
from flaxlayer_testing.report import progress as room
from flaxlayer_testing.report.events import ReportFinished, ShrinkTried, tell
from flaxlayer_testing.report.progress import Lines, progress
from flaxlayer_testing.report.report import Report

REPORT = Report("Net", "flaxlayer:FlaxLayer", (), {})


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self):
        return self.now


def after(clock, seconds, action):
    clock.now += seconds
    action()


@pytest.mark.law("T8")
def test_a_line_comes_every_half_minute_and_tells_the_time_that_is_left():
    clock, said = Clock(), []
    lines = Lines(10, "modules", said.append, clock)
    for seconds in (20, 5, 10, 20, 15):
        after(clock, seconds, lines.advance)
    assert said == [
        "3 of 10 modules in 0:35, about 1:21 left",
        "5 of 10 modules in 1:10, about 1:10 left",
    ]


@pytest.mark.law("T8")
def test_a_run_of_a_few_seconds_says_nothing():
    clock, said = Clock(), []
    lines = Lines(3, "modules", said.append, clock)
    for _ in range(3):
        after(clock, 9, lines.advance)
    assert said == []


@pytest.mark.law("T8")
def test_what_is_done_at_the_moment_is_said_where_it_takes_long():
    clock, said = Clock(), []
    lines = Lines(3, "modules", said.append, clock)
    after(clock, 31, lambda: lines.describe("shrinking"))
    after(clock, 1, lambda: lines.describe("shrinking on"))
    assert said == ["0 of 3 modules in 0:31; shrinking"]


@pytest.mark.law("T8")
def test_a_terminal_has_a_bar_and_no_lines(monkeypatch, capsys):
    monkeypatch.setattr(
        room, "Console", lambda **options: Console(**options, force_terminal=True, width=100)
    )
    with progress(4) as shown:
        assert isinstance(shown, room.Bar)
        tell(ReportFinished(REPORT))
        tell(ShrinkTried(checks()[0].name, 7))
        shown._shown.refresh()
    said = capsys.readouterr().err
    assert "1/4" in said
    assert f"shrinking a failure of {checks()[0].name}, 7 tried" in said
    assert "left" in said


@pytest.mark.law("T8")
def test_what_is_no_terminal_has_no_bar(capsys):
    with progress(4):
        tell(ReportFinished(REPORT))
    assert capsys.readouterr().err == ""
