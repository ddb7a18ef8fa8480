"""Prints a case as a short Python program that needs nothing of this harness (T1)."""

from __future__ import annotations

import inspect
import re
import symtable
from collections.abc import Mapping
from typing import Any

from flaxlayer_testing.render.dialects import DIALECTS
from flaxlayer_testing.render.program_inputs import input_lines
from flaxlayer_testing.render.source import class_texts
from flaxlayer_testing.spec.spec import Case

__all__ = ["import_lines", "piece_texts", "to_program"]

_IMPORTS = {
    r"\benum\b": "import enum",
    r"\bAny\b": "from typing import Any",
    "@struct": "from flax import struct",
    r"flax\.linen\.": "import flax.linen",
}
"""What some pieces need, by what shows it."""


def to_program(case: Case, *, check: str = "") -> str:
    """Prints a case as a standalone program.

    The program defines the module as plain Flax source, makes the inputs, and runs it in both
    modes. It leaves `module`, `inputs`, `trained` and `predicted` for `check` to use. That of a
    case of linen runs `init` and `apply`; it leaves `variables`, too, and each of the last two is
    outputs and changed collections. That of a case of nnx makes an object and calls it; `module` is
    what a layer is given, and the last two are its outputs.

    Args:
        case: A module, its batch size and its seed.
        check: Python text to append, such as a comparison with a layer under test.

    Returns:
        A program that needs flax, jax and numpy only, and what `check` imports.

    Example:

    ```python
    >>> from flaxlayer_testing.spec.spec import Case, ModuleSpec, Node, ValueType
    >>> node = Node("activation", (0,), (("function", "relu"),))
    >>> spec = ModuleSpec((ValueType((2,)),), (node,), (1,))
    >>> "h1 = nn.relu(x0)" in to_program(Case(spec))
    True
    >>> "h1 = nnx.relu(x0)" in to_program(Case(spec, framework="nnx"))
    True

    ```
    """
    dialect = DIALECTS[case.framework]
    body = "\n\n\n".join(class_texts(dialect.writer(case.spec, batch_size=case.batch_size)))
    run = "\n".join([*input_lines(case), *dialect.run_lines(case)])
    pieces = piece_texts(f"{body}\n{run}", dialect.pieces)
    header = "\n".join([dialect.imports, *import_lines("\n".join(pieces))])
    parts = [header, *pieces, body, run, check.strip()]
    return "\n\n\n".join(part for part in parts if part) + "\n"


def piece_texts(body: str, pieces: Mapping[str, Any]) -> list[str]:
    """Returns the source of the pieces that a text uses, each behind those that it refers to.

    Args:
        body: Python text.
        pieces: Functions and classes by their names.
    """
    texts: dict[str, str] = {}
    begun: set[str] = set()

    def add(text: str) -> None:
        names = _names(text)
        for name in pieces:  # above all the class that one derives from
            if name in names and name not in begun:
                begun.add(name)
                source = _source(pieces[name])
                add(source)
                texts[name] = source

    add(body)
    return list(texts.values())


def import_lines(text: str) -> list[str]:
    """Returns the lines that import what a text needs beside the imports of its framework."""
    return [line for word, line in _IMPORTS.items() if re.search(word, text)]


def _source(piece: Any) -> str:
    return re.sub(r"  # (type|noqa):.*", "", inspect.getsource(piece).strip())


def _names(text: str) -> set[str]:
    """Returns the names that a text refers to and that no function in it binds."""
    tables = [symtable.symtable(text, "<program>", "exec")]
    found: set[str] = set()
    for table in tables:
        own = table.get_type() == "module"
        symbols = [one for one in table.get_symbols() if own or one.is_global()]
        found |= {one.get_name() for one in symbols if one.is_referenced()}
        tables += table.get_children()
    return found
