"""What each law says and which tests enforce it, written to docs/laws.md.

The tests are read from their markers, the texts from law_texts.toml.

Run: `python -m conformance.laws` after adding or renaming a marked test.
"""

from __future__ import annotations

import ast
import pathlib
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["ELSEWHERE", "LAWS", "EnforcingTest", "enforcing_tests", "law_texts", "page"]

ROOT = pathlib.Path(__file__).parents[1]
PAGE = ROOT / "docs" / "laws.md"

# The laws that the packages claim today; the third backend comes with its own work.
LAWS = {
    "C1": "partition",
    "C2": "roles",
    "C3": "mutability",
    "C4": "atomic write-back",
    "C5": "frozen means frozen",
    "C6": "dtype and value are the module's",
    "C7": "sown values",
    "R1": "streams",
    "R2": "derivation",
    "R3": "seed",
    "R4": "replay",
    "A1": "arguments",
    "A2": "training flag",
    "A3": "methods",
    "A4": "masks",
    "A5": "outputs",
    "A6": "eager is compiled",
    "A7": "dtype policy",
    "A8": "threads",
    "A10": "dtypes on the way",
    "B1": "abstract first",
    "B2": "init parity",
    "B3": "anywhere",
    "B4": "given variables",
    "W1": "paths",
    "W2": "the tree is the truth",
    "W3": "files by name",
    "W4": "nothing is lost in silence",
    "S1": "no boilerplate",
    "S2": "closed world",
    "S3": "bounded",
    "S4": "every route",
}


ELSEWHERE = {
    "R5": "keys as arguments",
    "A9": "errors of JAX",
    "A11": "a native layer's manners",
    "B5": "sharded",
    "B6": "cost",
    "W5": "subclasses",
    "S5": "factories",
    "S6": "refused or loaded",
    "K1": "one semantics",
    "K2": "TensorFlow",
    "K3": "torch",
    "K4": "preflight",
    "D1": "one engine",
    "D2": "same numbers",
    "D3": "no device and no process holds what is sharded",
    "D4": "metadata",
}
"""Laws that a module of the zoo cannot show: they are about a backend, several devices, what stands
in the module's place or around the layer, a mistake, or a file."""


_LAYER = "packages/layer/tests/"
# What runs on the TensorFlow backend (`./dev laws-tensorflow` and the suite of conformance).
_ON_TENSORFLOW = (_LAYER, "conformance/backends/", "conformance/tensorflow/")
_NOT_THERE = (
    f"{_LAYER}weights/test_sharding.py",
    f"{_LAYER}exports/onnx/test_comparison.py",
    f"{_LAYER}backends/torch/",
)


@dataclass(frozen=True)
class EnforcingTest:
    """A test that a law marks.

    Attributes:
        name: `path::name`.
        jax_only: Why it does not run on other backends; empty where it does.
    """

    name: str
    jax_only: str = ""

    @property
    def runs_on_tensorflow(self) -> bool:
        """Whether it runs a layer on the TensorFlow backend."""
        elsewhere = self.jax_only or self.name.startswith(_NOT_THERE)
        return self.name.startswith(_ON_TENSORFLOW) and not elsewhere

    def __str__(self) -> str:
        reason = f" (JAX alone: {self.jax_only})" if self.jax_only else ""
        return f"`{self.name}`{reason}"


def _marks(mark: str, *expressions: ast.expr) -> Iterator[str]:
    for node in (node for expression in expressions for node in ast.walk(expression)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == f"pytest.mark.{mark}":
            yield from (ast.literal_eval(argument) for argument in node.args)


def _marks_of_all(module: ast.Module) -> list[str]:
    assigned = (node for node in module.body if isinstance(node, ast.Assign))
    named = (node.value for node in assigned if ast.unparse(node.targets[0]) == "pytestmark")
    return list(_marks("law", *named))


def _jax_only(test: ast.FunctionDef) -> str:
    of_all = [mark for mark in test.decorator_list if isinstance(mark, ast.Call)]
    whole = [mark for mark in of_all if ast.unparse(mark.func) == "pytest.mark.jax_only"]
    return next(_marks("jax_only", *whole), "")


def enforcing_tests() -> dict[str, list[EnforcingTest]]:
    """Returns the marked tests of each law."""
    found: dict[str, list[EnforcingTest]] = defaultdict(list)
    files = [*ROOT.glob("packages/*/tests/**/test_*.py"), *ROOT.glob("conformance/**/test_*.py")]
    for file in sorted(files):
        module = ast.parse(file.read_text())
        of_all = _marks_of_all(module)
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                test = EnforcingTest(f"{file.relative_to(ROOT)}::{node.name}", _jax_only(node))
                for law in dict.fromkeys([*of_all, *_marks("law", *node.decorator_list)]):
                    found[law].append(test)
    return dict(found)


def law_texts() -> dict[str, str]:
    """Returns what each law says, as Markdown."""
    texts = tomllib.loads((pathlib.Path(__file__).parent / "law_texts.toml").read_text())
    return {law: text.strip() for law, text in texts.items()}


def page() -> str:
    """Returns docs/laws.md."""
    tests, texts = enforcing_tests(), law_texts()
    lines = [
        "# The laws",
        "",
        "What the layer promises. Errors and checks cite a law by its number, and each has tests",
        "that enforce it. *Raw* is the same module called by `module.apply` (linen) or as an",
        "object (nnx), *the reference* `keras.layers.FlaxLayer`.",
        "",
        "Made by `python -m conformance.laws` from `law_texts.toml` and the tests' markers; those",
        f"of `{_LAYER}` run on the TensorFlow backend too (`./dev laws-tensorflow`), but for the",
        "ones that are said to be about JAX alone, and on torch (`./dev laws-torch`).",
        "",
    ]
    for law, title in {**LAWS, **ELSEWHERE}.items():
        found = sorted(map(str, tests.get(law, [])))
        lines += [f"## {law} {title}", "", texts[law], ""]
        count = f"{len(found)} test{'' if len(found) == 1 else 's'}"
        lines += [f"<details><summary>{count}</summary>", ""]
        lines += [*(f"- {test}" for test in found), "", "</details>", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
