"""`python -m conformance.mutants`: lists mutants, runs commands with one, and searches for them."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from conformance.mutants import MUTANTS, find
from conformance.mutants.tools.importing import environment
from conformance.mutants.tools.mutation import RESULTS, mutate, survivors
from conformance.mutants.tools.record import load
from conformance.mutants.tools.searching import search

_USUAL = (sys.executable, "-m", "conformance.mutants.tools.killers")


def main(words: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status: 0 where all was found, 1 where not."""
    parser = argparse.ArgumentParser(prog="python -m conformance.mutants", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="the mutants, by kind")
    listing.add_argument("--kind", help="one kind alone")
    running = commands.add_parser("run", help="run a command, each Python in it as the mutant")
    running.add_argument("name", help="a slug, the beginning of one, or the sentence")
    running.add_argument("argv", nargs=argparse.REMAINDER, help="-- COMMAND; the zoo if none")
    searching = commands.add_parser("search", help="count the cases until a search finds each")
    searching.add_argument("names", nargs="*", help="some mutants; all if none")
    searching.add_argument("--killer", default="scenarios", help="what searches; see killers.py")
    searching.add_argument("--seed", type=int, default=0)
    searching.add_argument("--seeds", type=int, default=10)
    searching.add_argument("--budget", type=int, default=200, help="the most cases of a search")
    searching.add_argument("--workers", type=int, default=1)
    searching.add_argument("--seconds", type=float, default=1800, help="the most for a mutant")
    searching.add_argument("--max-time", type=float, help="seconds after which none begins")
    searching.add_argument("--again", action="store_true", help="also those that are recorded")
    searching.add_argument("--log", type=Path, help="what the searches print")
    mutating = commands.add_parser("mutate", help="a sample of systematic changes, and the share")
    mutating.add_argument("--seed", type=int, default=0)
    mutating.add_argument("--sample", type=int, default=200)
    mutating.add_argument("--budget", type=int, default=20, help="the most cases of a search")
    mutating.add_argument("--workers", type=int, default=1)
    mutating.add_argument("--seconds", type=float, default=600, help="the most for a change")
    mutating.add_argument("--max-time", type=float, help="seconds after which none begins")
    mutating.add_argument("--log", type=Path, help="what the runs print")
    commands.add_parser("survivors", help="the changes that nothing killed")
    chosen = parser.parse_args(words)
    if chosen.command == "list":
        return _list(chosen.kind)
    if chosen.command == "run":
        return _run(chosen.name, chosen.argv)
    if chosen.command == "survivors":
        print("\n".join(survivors(load(RESULTS).get("changes", {}))))
        return 0
    options = {name: value for name, value in vars(chosen).items() if name != "command"}
    return mutate(**options) if chosen.command == "mutate" else search(**options)


def _list(kind: str | None) -> int:
    for mutant in sorted(MUTANTS, key=lambda mutant: mutant.kind):
        if kind in (None, mutant.kind):
            print(f"{mutant.kind:12} {mutant.law:3} {mutant.slug}")
    return 0


def _run(name: str, argv: Sequence[str]) -> int:
    command = [word for word in argv if word != "--"] or _USUAL
    done = subprocess.run(command, env=environment(find(name), os.environ), check=False)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
