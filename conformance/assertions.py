"""The assertions of the checks, read from their source: each is what catches some fault (T5)."""

from __future__ import annotations

import ast
import functools
import importlib
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Assertion", "assertions", "can_say", "unmatched"]

_KINDS: Mapping[str, tuple[tuple[str, ...], int | str]] = {
    "KeepLawError": (("KeepLawError",), 0),
    "compare_trees": (("ParityError",), "path"),
    "compare_runs": (("ParityError",), "path"),
    "refuse_half_done": (("KeepLawError", "ParityError"), 1),
}
"""What fails a layer: the classes of error that it ends in, and the argument that says what."""

ANY = "\0"
"""Stands in a template for text of any length but none."""

Strings = list[str]


@dataclass(frozen=True)
class Assertion:
    """A place in the checks that fails a layer.

    Attributes:
        file: The file that it stands in, without its ending.
        line: Its line.
        errors: The classes of error that it ends in.
        template: What its message says, with `ANY` for what only a run knows.
    """

    file: str
    line: int
    errors: tuple[str, ...]
    template: str

    def catches(self, home: str, error: str, message: str) -> bool:
        """Tells whether it can be what catches a fault.

        Args:
            home: The file of the check that must catch the fault.
            error: The class of the error.
            message: A part of its message.
        """
        if error not in self.errors or self.file not in {home, *_imported(home)}:
            return False
        # A path goes on to the leaf that differs; what is refused stands in a longer sentence.
        ending = ANY if "ParityError" in self.errors else ""
        beginning = ANY if len(self.errors) > 1 else ""
        return _in_common(beginning + self.template + ending, message) >= min(8, len(message))

    def __str__(self) -> str:
        template = self.template.replace(ANY, "...")
        return f"{self.file}.py:{self.line} {' or '.join(self.errors)}: {template}"


def _in_common(template: str, message: str) -> int:
    """Returns how many letters of a message a template has, -1 if it cannot say the message."""
    # The most letters in common so far, by the place in the template that comes next.
    best = dict.fromkeys(range(len(template)), 0)
    for letter in message:
        following: dict[int, int] = {}
        for place, count in best.items():
            if place < len(template) and template[place] == ANY:
                steps = [(place, count), (place + 1, count)]
            elif place < len(template) and template[place] == letter:
                steps = [(place + 1, count + 1)]
            else:
                steps = []
            for step, total in steps:
                following[step] = max(total, following.get(step, 0))
        best = following
    return max(best.values(), default=-1)


@functools.cache
def _files() -> dict[str, ast.Module]:
    package = importlib.import_module("flaxlayer_testing")
    root = pathlib.Path(*package.__path__)
    paths = [*sorted((root / "checks").glob("*.py")), root / "subject" / "records.py"]
    return {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in paths}


@functools.cache
def _imported(file: str) -> frozenset[str]:
    """Returns the files that a file uses, and those that these use."""
    nodes = (node for node in ast.walk(_files()[file]) if isinstance(node, ast.ImportFrom))
    direct = {(node.module or "").rpartition(".")[2] for node in nodes} & _files().keys()
    return frozenset(direct.union(*map(_imported, direct)))


def _functions(tree: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def _argument(call: ast.Call, place: int | str | None, name: str = "") -> ast.expr | None:
    if isinstance(place, int) and place < len(call.args):
        return call.args[place]
    wanted = place if isinstance(place, str) else name
    return next((k.value for k in call.keywords if k.arg == wanted), None)


def _calls(node: ast.AST, name: str) -> Iterator[ast.Call]:
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == name:
            yield call


def _texts(value: ast.expr | None, function: ast.FunctionDef, tree: ast.Module) -> Strings:
    """Returns what an expression may say, as templates."""
    if isinstance(value, ast.Constant):
        return [str(value.value)]
    if isinstance(value, ast.JoinedStr):
        parts = value.values
        return ["".join(str(p.value) if isinstance(p, ast.Constant) else ANY for p in parts)]
    if isinstance(value, ast.Name):
        return _texts_of_name(value, function, tree)
    return [ANY]


def _assignments(function: ast.FunctionDef) -> Iterator[tuple[ast.expr, ast.expr]]:
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                yield from zip(target.elts, value.elts, strict=True)
            else:
                yield target, value


def _texts_of_name(used: ast.Name, function: ast.FunctionDef, tree: ast.Module) -> Strings:
    name = used.id
    assigned = {
        value.lineno: value
        for target, value in _assignments(function)
        if ast.unparse(target) == name and value.lineno <= used.lineno
    }
    if assigned:
        return _texts(assigned[max(assigned)], function, tree)
    positions = {arg.arg: index for index, arg in enumerate(function.args.args)}
    texts = []
    for caller in _functions(tree):
        for call in _calls(caller, function.name):
            given = _argument(call, positions.get(name), name)
            texts += _texts(given, caller, tree) if given is not None else []
    return texts or [ANY]


@functools.cache
def assertions() -> tuple[Assertion, ...]:
    """Returns the assertions of all checks, those of what they share among them."""
    found: dict[tuple[str, int, str], Assertion] = {}
    for file, tree in _files().items():
        for function in _functions(tree):
            for name, (errors, place) in _KINDS.items():
                for call in _calls(function, name):
                    for text in _texts(_argument(call, place), function, tree):
                        one = Assertion(file, call.lineno, errors, text)
                        found.setdefault((file, call.lineno, text), one)
    return tuple(found.values())


@functools.cache
def _homes() -> dict[str, str]:
    """Returns the file of each check."""
    return {function.name: f for f, tree in _files().items() for function in _functions(tree)}


def can_say(check: str, error: str, message: str) -> bool:
    """Tells whether some assertion of a check, or of what it uses, can fail with this message."""
    home = _homes()[check]
    return any(one.catches(home, error, message) for one in assertions())


def unmatched(faults: Sequence[tuple[str, str, str]]) -> list[Assertion]:
    """Returns the assertions for which no fault is left when each fault stands for one alone.

    Args:
        faults: The check that must catch each, the class of the error, a part of its message.
    """
    possible = {
        one: [
            number
            for number, (check, error, message) in enumerate(faults)
            if one.catches(_homes()[check], error, message)
        ]
        for one in assertions()
    }
    owner: dict[int, Assertion] = {}

    def match(one: Assertion, tried: set[int]) -> bool:
        for number in possible[one]:
            if number not in tried:
                tried.add(number)
                if number not in owner or match(owner[number], tried):
                    owner[number] = one
                    return True
        return False

    return [one for one in possible if not match(one, set())]


if __name__ == "__main__":
    from conformance.faults import FAULTS

    left = unmatched([(fault.check, fault.error, fault.message) for fault in FAULTS])
    print(f"{len(assertions())} assertions, {len(FAULTS)} faults; no fault for:")
    print("\n".join(map(str, left)))
