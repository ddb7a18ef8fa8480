"""Prints a case as a short Python program that needs nothing of this harness (T1)."""

from __future__ import annotations

import inspect
import re

from flaxlayer_testing.render import pieces as blocks
from flaxlayer_testing.render.building import make_rngs
from flaxlayer_testing.render.nnx_program import to_nnx_program
from flaxlayer_testing.render.program_inputs import call_text, input_lines
from flaxlayer_testing.render.source import methods_text, nested_specs
from flaxlayer_testing.spec.spec import Case, ModuleSpec

__all__ = ["to_program"]

HEADER = """\
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np"""

IMPORTS = {
    r"\benum\b": "import enum",
    r"\bAny\b": "from typing import Any",
    "@struct": "from flax import struct",
}
"""What some pieces need, by what shows it."""


def to_program(case: Case, *, check: str = "") -> str:
    """Prints a case as a standalone program.

    The program defines the module as plain linen source, makes the inputs, and runs `init` and
    `apply` in both modes. It leaves `module`, `inputs`, `variables`, `trained` and `predicted`
    (each of the last two is outputs and changed collections) for `check` to use. That of a case of
    nnx makes an object and calls it, and leaves `trained` and `predicted` as its outputs.

    Args:
        case: A module, its batch size and its seed.
        check: Python text to append, such as a comparison with a layer under test.

    Returns:
        A program that needs flax, jax and numpy only, and what `check` imports.

    Example:

    ```python
    >>> from flaxlayer_testing.spec.spec import Case, ModuleSpec, Node, ValueType
    >>> node = Node("activation", (0,), (("function", "relu"),))
    >>> "h1 = nn.relu(x0)" in to_program(Case(ModuleSpec((ValueType((2,)),), (node,), (1,))))
    True

    ```
    """
    if case.framework == "nnx":
        return to_nnx_program(case, check=check)
    classes = _class_texts(case.spec, "Model", "Nested")
    run = _run_text(case)
    body = "\n\n\n".join(classes)
    pieces = _block_texts(body + run)
    header = HEADER + "".join(
        f"\n{line}"
        for word, line in IMPORTS.items()
        if any(re.search(word, text) for text in pieces)
    )
    parts = [header, *pieces, body, run, check.strip()]
    return "\n\n\n".join(part for part in parts if part) + "\n"


def _block_texts(body: str) -> list[str]:
    used = [name for name in blocks.__all__ if re.search(rf"\b{name}\b", body)]
    texts = [inspect.getsource(getattr(blocks, name)).strip() for name in used]
    # A class stands behind the one that it derives from.
    bases = {found for text in texts for found in re.findall(r"^class \w+\((\w+)\):", text)}
    return [*_block_texts(" ".join(sorted(bases))), *texts] if bases else texts


def _class_texts(spec: ModuleSpec, name: str, prefix: str) -> list[str]:
    lines = [f"class {name}(nn.Module):"]
    for method in methods_text(spec, prefix).values():
        lines += [] if spec.style == "setup" else ["    @nn.compact"]
        lines += [f"    {line}" for line in method]
    nested = [
        text
        for class_name, inner in nested_specs(spec, prefix).items()
        for text in _class_texts(inner, class_name, f"{class_name}_")
    ]
    return [*nested, "\n".join(lines)]


def _rngs_text(spec: ModuleSpec, seed: int, *, training: bool) -> str:
    names = make_rngs(spec, seed, training=training)
    keys = [f"'{name}': jax.random.key({seed + 1 + i})" for i, name in enumerate(names)]
    return "{" + ", ".join(keys) + "}"


def _apply_lines(case: Case, name: str, *, training: bool) -> list[str]:
    call = call_text(case.spec, training=training, keys="keys")
    mutable = "mutable=nn.DenyList(['params'])"
    return [
        f"keys = {_rngs_text(case.spec, case.seed, training=training)}",
        f"{name} = module.apply(variables, {call}, rngs=keys, {mutable})",
    ]


def _run_text(case: Case) -> str:
    spec = case.spec
    rngs = _rngs_text(spec, case.seed, training=True)
    lines = [
        *input_lines(case),
        "module = Model()",
        f"keys = {{'params': jax.random.key({case.seed}), **{rngs}}}",
        f"variables = module.init(keys, {call_text(spec, training=True, keys='keys')})",
        *_apply_lines(case, "trained", training=True),
        *_apply_lines(case, "predicted", training=False),
    ]
    return "\n".join(lines)
