"""Patterns that select variables by their paths, matched in linear time (C5, W1, S3)."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from flaxlayer_core.errors import MatchPathPatternError
from flaxlayer_core.message_lists import in_a_line, list_some
from flaxlayer_core.trees.paths import escape_part, format_path
from flaxlayer_core.typing import Path

__all__ = ["match_paths"]

_SHOWN_PATHS, _SHOWN_CHARACTERS = 50, 120
# Steps that all patterns with wildcards may take together, about; the others take one a name.
_MOST_WORK = 1 << 30
# What it costs to visit a node, in comparisons of a character.
_COST_OF_NODE = 64


@dataclass
class _Node:
    """One name in the tree of the paths, with what stands below it."""

    below: dict[str, _Node] = field(default_factory=dict)
    leaves: list[Path] = field(default_factory=list)
    is_selected: bool = False


def match_paths(patterns: Sequence[str], paths: Iterable[Path], *, title: str = "") -> set[Path]:
    """Finds the paths that any of the patterns selects.

    `*` and `?` match within one name, `**` any number of names (as in `pathlib`); a pattern that
    names an inner node selects everything below it.

    Args:
        patterns: Such as `"params/encoder/**"` or `"**/bias"`.
        paths: The paths to choose from.
        title: What to name in an error, such as a layer.

    Returns:
        The selected paths.

    Raises:
        MatchPathPatternError: If a pattern selects nothing, or all that have wildcards would take
            more than a bounded time.

    Example:

    ```python
    >>> paths = [("params", "enc", "bias"), ("params", "out", "bias"), ("params", "out", "kernel")]
    >>> sorted(match_paths(["params/enc", "**/kernel"], paths))
    [('params', 'enc', 'bias'), ('params', 'out', 'kernel')]

    ```
    """
    root = _tree(paths)
    distinct = [*dict.fromkeys(patterns)]
    _check_work(distinct, root, title)
    for pattern in distinct:
        found = _nodes(pattern, root)
        if not found:
            raise _selects_nothing(pattern, root, title)
        for node in found:
            node.is_selected = True
    return set(_selected(root))


def _tree(paths: Iterable[Path]) -> _Node:
    root = _Node()
    for path in paths:
        node = root
        for name in map(escape_part, path):
            node = node.below.setdefault(name, _Node())
        node.leaves.append(path)
    return root


def _selected(root: _Node) -> Iterator[Path]:
    pending = [(root, False)]
    while pending:
        node, is_selected = pending.pop()
        is_selected = is_selected or node.is_selected
        if is_selected:
            yield from node.leaves
        pending.extend((each, is_selected) for each in node.below.values())


def _parts(pattern: str) -> list[str]:
    """The names of a pattern; several `**` in a row mean the same as one."""
    return re.sub(r"(?<![^/])\*\*(?:/\*\*)+(?![^/])", "**", pattern.rstrip("/")).split("/")


def _has_wildcards(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern


def _nodes(pattern: str, root: _Node) -> list[_Node]:
    """The nodes that a pattern stands for, with which it selects all below them."""
    nodes = [root]
    *above, last = _parts(pattern)
    for part in above:
        nodes = _subtrees(nodes) if part == "**" else _children(nodes, part)
    return _children(_subtrees(nodes) if last == "**" else nodes, "*" if last == "**" else last)


def _subtrees(nodes: list[_Node]) -> list[_Node]:
    """The nodes and all below them, each once."""
    pending, seen = list(nodes), dict[int, _Node]()
    while pending:
        node = pending.pop()
        if id(node) not in seen:
            seen[id(node)] = node
            pending.extend(node.below.values())
    return [*seen.values()]


def _children(nodes: list[_Node], part: str) -> list[_Node]:
    if not _has_wildcards(part):
        return [node.below[part] for node in nodes if part in node.below]
    matches = functools.cache(_matcher(part))  # the same names stand at many places
    return [each for node in nodes for name, each in node.below.items() if matches(name)]


def _matcher(part: str) -> Callable[[str], bool]:
    """Whether a name matches, found without going back: each piece stands as early as it can."""
    first, *pieces = map(_literal, re.split(r"\*+", part))
    if not pieces:
        whole = re.compile(first, re.DOTALL)
        return lambda name: whole.fullmatch(name) is not None
    *middle, last = pieces
    head = re.compile(first + "".join(f"(?>.*?{piece})" for piece in middle), re.DOTALL)
    tail, length = re.compile(last, re.DOTALL), len(part) - part.rindex("*") - 1

    def matches(name: str) -> bool:
        found, start = head.match(name), len(name) - length
        return found is not None and found.end() <= start and bool(tail.fullmatch(name, start))

    return matches


def _literal(text: str) -> str:
    return re.escape(text).replace(r"\?", ".")


def _check_work(patterns: Sequence[str], root: _Node, title: str) -> None:
    wild = list(filter(_has_wildcards, patterns))
    nodes = _subtrees([root])
    names = {name for node in nodes for name in node.below}
    # Neither a file's patterns nor its names may be many where they are compared with each other.
    work = len(nodes) * sum(map(len, map(_parts, wild))) * _COST_OF_NODE
    work += sum(map(len, names)) * sum(map(len, wild))
    if work > _MOST_WORK:
        raise MatchPathPatternError(
            f"{title or 'The tree'} has too many path patterns with wildcards.",
            expected=f"few or short patterns for {len(nodes)} names",
            found=f"{len(wild)} patterns of {sum(map(len, wild))} characters",
            fix="Name an inner node, which stands for everything below it, or freeze in parts.",
            law="S3",
        )


def _selects_nothing(pattern: str, root: _Node, title: str) -> Exception:
    known = sorted(format_path(path) for node in _subtrees([root]) for path in node.leaves)
    listed = list_some(known, ", ", most=_SHOWN_PATHS, longest=_SHOWN_CHARACTERS)
    text = f"'{in_a_line(pattern, _SHOWN_CHARACTERS)}'"
    return MatchPathPatternError(
        f"{title or 'The tree'} has no variable that matches {text}.",
        expected=f"a pattern of one of: {listed}",
        found=text,
        fix="Correct the pattern; * matches within a name, ** across names.",
        law="C5",
    )
