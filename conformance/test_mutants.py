"""Each mutant applies to the present source, and stands in its place where it is imported (T11)."""

import os
import subprocess
import sys
import textwrap
from collections import Counter

import pytest

from conformance.mutants import KINDS, MUTANTS, Mutant, StaleMutantError, find
from conformance.mutants.tools.importing import environment
from conformance.mutants.tools.killers import counted
from conformance.mutants.tools.processes import Job, run_jobs
from conformance.mutants.tools.record import median
from conformance.mutants.tools.searching import is_done

by_slug = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.slug)


@pytest.mark.law("T11")
@by_slug
def test_a_mutant_applies_to_the_present_source_and_compiles(mutant):
    compile(mutant.source(), mutant.file, "exec", dont_inherit=True)


@pytest.mark.law("T11")
def test_there_are_sixty_mutants_and_more_of_every_kind():
    kinds = Counter(mutant.kind for mutant in MUTANTS)
    assert len(MUTANTS) >= 60
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) >= 3


def test_no_two_mutants_have_one_name_or_one_change():
    assert len({mutant.slug for mutant in MUTANTS}) == len(MUTANTS)
    assert len({mutant.source() for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("what stands nowhere", "x", "0 times"),
        ("import", "x", "times"),
        ("RECENT_CALLS = 128", "RECENT_CALLS =  128", "nothing changes"),
    ],
    ids=["gone", "not unique", "no change"],
)
def test_a_stale_mutant_is_an_error(old, new, found):
    mutant = Mutant("Any", "flaxlayer/recently_used.py", old, new, "A1", "arguments")
    with pytest.raises(StaleMutantError, match=found):
        mutant.source()


def test_a_mutant_is_found_by_its_slug_the_beginning_of_it_and_its_sentence():
    mutant = find("the-seed-of-a-call-does-not-move-on")
    assert find("The seed of a call does not move on") is mutant
    assert find("the-seed-of-a-call-does") is mutant
    with pytest.raises(LookupError, match="mutants are called 'the'"):
        find("the")


PROGRAM = """
    import jax.numpy as jnp
    from flaxlayer_core import next_seed
    print(next_seed(jnp.array([7, 0], jnp.uint32)).tolist())
"""
OUTER = f"""
    import subprocess, sys
    subprocess.run([sys.executable, "-c", {textwrap.dedent(PROGRAM)!r}], check=True)
"""


@pytest.mark.slow
@pytest.mark.law("T11")
@pytest.mark.parametrize("program", [PROGRAM, OUTER], ids=["itself", "what it starts"])
def test_a_command_runs_with_the_mutant_and_leaves_the_source(program):
    mutant = find("the-seed-of-a-call-moves-on-by-two")
    before = mutant.path.read_bytes()
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(
        command,
        env=environment(mutant, os.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[7, 2]"
    assert mutant.path.read_bytes() == before


JOBS = """
    import os
    from functools import partial
    from pathlib import Path
    from conformance.mutants import find, install
    from conformance.mutants.tools.processes import Job, run_jobs

    two = partial(install, find("the-seed-of-a-call-moves-on-by-two"))
    jobs = [
        Job("mutant", two, "conformance.test_mutants:step"),
        Job("healthy", lambda: None, "conformance.test_mutants:step"),
        Job("fails", lambda: None, "conformance.test_mutants:fail"),
        Job("hangs", lambda: None, "conformance.test_mutants:hang", {}, 1),
        Job("ends", lambda: None, "conformance.test_mutants:end"),
    ]
    for outcome in run_jobs(jobs, workers=2):
        print(outcome.name, outcome.result, outcome.error.strip())

    hangs = Job("hangs", lambda: None, "conformance.test_mutants:hang")
    stopped = run_jobs([jobs[1], hangs], workers=2)
    next(stopped)
    stopped.close()
    try:
        os.waitpid(-1, os.WNOHANG)
        print("one is left")
    except ChildProcessError:
        print("none is left")
"""


def step():
    """Returns the seed that follows."""
    import numpy as np

    from flaxlayer_core import next_seed

    return next_seed(np.array([7, 0], np.uint32)).tolist()


def fail():
    """Raises."""
    raise ValueError("by itself")


def hang():
    """Does not come back."""
    import threading

    threading.Event().wait()


def end():
    """Ends the process."""
    os._exit(3)


@pytest.mark.slow
@pytest.mark.law("T11")
def test_each_job_has_a_process_of_its_own_whatever_it_does():
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(JOBS)], capture_output=True, text=True, check=True
    )
    assert sorted(done.stdout.splitlines()) == [
        f"ends None it ended with status {3 << 8}",
        "fails None ValueError: by itself",
        "hangs None time",
        "healthy [7, 1] ",
        "mutant [7, 2] ",
        "none is left",
    ]


def test_a_process_that_has_imported_what_mutants_change_is_not_forked():
    import flaxlayer_core

    del flaxlayer_core
    with pytest.raises(RuntimeError, match="cannot be forked any more"):
        next(run_jobs([Job("any", lambda: None, "conformance.test_mutants:step")]))


@pytest.mark.parametrize(
    ("counts", "budget", "done"),
    [
        ([3, 4, 5, 6], 20, True),
        ([3, 4, 5], 20, True),
        ([3, 4], 20, False),
        ([3, 4, 5, None], 50, True),
        ([3, 4, 5, None], 20, True),
        ([3, 4, None, None], 20, False),
        ([None, None], 50, True),
        ([None, None], 20, False),
        ([None], 50, False),
    ],
    ids=[
        "all",
        "most",
        "half",
        "as many cases",
        "one missed in fewer cases",
        "half missed in fewer cases",
        "half missed",
        "half missed at once in fewer cases",
        "one missed",
    ],
)
def test_a_search_goes_on_where_it_was_stopped(counts, budget, done):
    assert is_done({"counts": counts, "budget": budget}, 4, 50) == done
    assert not is_done(None, 4, 50)


@pytest.mark.parametrize(
    ("counts", "seeds", "expected"),
    [
        ([3, 1, 2], 3, 2),
        ([1, None, None], 3, None),
        ([5, None, 7], 3, 7),
        ([None], 1, None),
        ([4, 9, 1], 4, 6.5),
        ([4, 9], 4, None),
    ],
    ids=["all", "most miss", "one misses", "none", "one not run", "half not run"],
)
def test_a_search_that_finds_nothing_or_is_not_run_counts_as_one_without_end(
    counts, seeds, expected
):
    assert median(counts, seeds) == expected


def test_what_cannot_change_the_median_is_not_searched():
    asked = []

    def run(number):
        asked.append(number)
        return (number, "a check", "a message") if number != 3 else None

    result = counted(run, 2, 4)
    assert result == {"counts": [2, None, 4, 5], "by": "a check", "message": "a message"}
    assert asked == [2, 3, 4, 5]
    asked.clear()
    assert counted(run, 4, 4)["counts"] == [4, 5, 6] == asked
    assert counted(lambda _: None, 4, 4) == {
        "counts": [None, None],
        "by": "",
        "message": "",
    }
