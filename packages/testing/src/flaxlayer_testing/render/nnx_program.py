"""Prints a case of nnx as a short Python program that needs nothing of this harness (T1)."""

from __future__ import annotations

import inspect
import re

from flaxlayer_testing.render import pieces as blocks
from flaxlayer_testing.render.nnx_source import class_texts
from flaxlayer_testing.render.pieces import of_nnx_modules as nnx_blocks
from flaxlayer_testing.render.program_inputs import call_text, input_lines
from flaxlayer_testing.spec.spec import Case

__all__ = ["to_nnx_program"]

_HEADER = """\
import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx"""

_IMPORTS = {
    r"\benum\b": "import enum",
    r"\bAny\b": "from typing import Any",
    "@struct": "from flax import struct",
}


def to_nnx_program(case: Case, *, check: str = "") -> str:
    """Prints a case of nnx as a standalone program.

    The program defines the module as plain nnx source and makes the inputs. It leaves `module`,
    what a layer is given, `inputs`, and `trained` and `predicted`, the outputs of an object in both
    modes, for `check` to use.

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
    >>> "h1 = nnx.relu(x0)" in to_nnx_program(Case(spec, framework="nnx"))
    True

    ```
    """
    body = "\n\n\n".join(class_texts(case.spec, batch_size=case.batch_size))
    run = _run_text(case)
    pieces = _block_texts(body + run)
    header = _HEADER + "".join(
        f"\n{line}"
        for word, line in _IMPORTS.items()
        if any(re.search(word, text) for text in pieces)
    )
    parts = [header, *pieces, body, run, check.strip()]
    return "\n\n\n".join(part for part in parts if part) + "\n"


def _block_texts(body: str) -> list[str]:
    texts: list[str] = []
    for part in (nnx_blocks, blocks):
        for name in part.__all__:
            # A function of linen has the name of one of nnx.
            if re.search(rf"\b{name}\b", body) and name not in _names(texts):
                texts.append(_source(getattr(part, name)))
    inside = [name for name in nnx_blocks.__all__ if re.search(rf"\b{name}\b", "".join(texts))]
    missing = [_source(getattr(nnx_blocks, n)) for n in inside if n not in _names(texts)]
    return [*missing, *texts]


def _source(piece: object) -> str:
    return re.sub(r"  # (type|noqa):.*", "", inspect.getsource(piece).strip())  # type: ignore[arg-type]


def _names(texts: list[str]) -> set[str]:
    found = (re.search(r"^(?:def|class) (\w+)", text, re.MULTILINE) for text in texts)
    return {match.group(1) for match in found if match}


def _run_text(case: Case) -> str:
    names = ("default", "params", "dropout")
    keys = ", ".join(f"{name}={case.seed + number}" for number, name in enumerate(names))
    made = f"Model(rngs=nnx.Rngs({keys}))"
    filled = [extra.kind.stream for extra in case.spec.extras if extra.kind.stream]
    given = ", ".join(f"'{stream}': jax.random.key({case.seed})" for stream in filled)
    lines = [
        *input_lines(case),
        *([f"keys = {{{given}}}"] if filled else []),
        f"module = {made}" if case.instance else "module = functools.partial(Model)",
        f"model = {made}",
        "model.train()",
        f"trained = model({call_text(case.spec, training=True, keys='keys')})",
        "model.eval()",
        f"predicted = model({call_text(case.spec, training=False, keys='keys')})",
    ]
    return "\n".join(lines)
