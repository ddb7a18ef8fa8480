"""Prints a case as a short Python program that needs nothing of this harness (T1)."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Mapping
from typing import Any

from flaxlayer_testing.render.dialects import DIALECTS
from flaxlayer_testing.render.program_inputs import input_lines
from flaxlayer_testing.render.source import class_texts
from flaxlayer_testing.spec.spec import Case

__all__ = ["to_program"]

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
    pieces = _piece_texts(body + run, dialect.pieces)
    needed = [
        line for word, line in _IMPORTS.items() if any(re.search(word, text) for text in pieces)
    ]
    header = "\n".join([dialect.imports, *needed])
    parts = [header, *pieces, body, run, check.strip()]
    return "\n\n\n".join(part for part in parts if part) + "\n"


def _piece_texts(body: str, pieces: Mapping[str, Any]) -> list[str]:
    used = [name for name in pieces if re.search(rf"\b{name}\b", body)]
    texts = {name: _source(pieces[name]) for name in used}
    # What a piece refers to stands before it, above all the class that it derives from.
    ahead = [name for name in pieces if any(name in _names(text) for text in texts.values())]
    before = {name: _source(pieces[name]) for name in ahead if name not in texts}
    return [*before.values(), *texts.values()]


def _source(piece: Any) -> str:
    return re.sub(r"  # (type|noqa):.*", "", inspect.getsource(piece).strip())


def _names(text: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
