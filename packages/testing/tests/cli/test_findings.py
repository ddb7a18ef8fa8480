"""What `search` and `scenarios` say alike."""

from pathlib import Path

import pytest

from flaxlayer_testing.cli.findings import say_ending, say_written
from flaxlayer_testing.report.statistics import Ending, Statistics
from flaxlayer_testing.run.bugs import Bug


@pytest.mark.parametrize(("count", "said"), [(1, "1 scenario:"), (3, "3 scenarios:")])
def test_what_was_written_is_said_with_its_count(count, said, capsys):
    bug = Bug("check_seed", "ParityError", "a shape", ("R3",), "")
    say_written(Path("f.json"), bug, count, "scenario")
    assert capsys.readouterr().out == f"Wrote f.json: check_seed, ParityError, {said} a shape\n"


@pytest.mark.parametrize("ending", Ending, ids=lambda ending: ending.name)
def test_an_early_end_is_said_with_what_was_done(ending, capsys):
    say_ending(Statistics(distinct=5, kept=2, ending=ending), 9, "modules were checked")
    early = ending in (Ending.TIME, Ending.EXHAUSTED)
    expected = f"3 of 9 modules were checked: {ending}.\n" if early else ""
    assert capsys.readouterr().out == expected
