"""The features of generated modules, each with the smallest module that shows it."""

from __future__ import annotations

from collections.abc import Collection

from conformance.feature_examples import in_nnx, read_examples
from flaxlayer_testing import FEATURES, LINEN_FEATURES, NNX_FEATURES, Case
from flaxlayer_testing.render.dialects import DIALECTS
from flaxlayer_testing.render.program import piece_texts
from flaxlayer_testing.render.program_inputs import input_lines

__all__ = ["feature_page"]


def feature_page() -> dict[str, str]:
    """Returns the page of the features, by its place."""
    examples = read_examples()
    rows = [
        f"| [`{name}`](#{name}) | {text} | {_mark(name, LINEN_FEATURES)} "
        f"| {_mark(name, NNX_FEATURES)} |"
        for name, text in FEATURES.items()
    ]
    text = f"""\
# Features of generated modules

What modules that are drawn can show: {len(FEATURES)} features, alone and together. Ask for some, or
leave some out:

```sh
flaxlayer-conformance search --examples 100 --features dropout,setup --without nested
flaxlayer-conformance search --framework nnx --features dropout --statistics
```

or in Python, as strategies of Hypothesis:

```python
from flaxlayer_testing import Subject, cases, run_report
from hypothesis import given


@given(cases(features=["batch_norm", "flag"]))
def test_my_layer(case):
    run_report(Subject.from_case(case)).raise_for_failures()
```

| feature | what it is | linen | nnx |
| --- | --- | --- | --- |
"""
    shown = [_section(name, text, examples[name]) for name, text in FEATURES.items()]
    parts = ["\n".join(rows), "## The smallest module with each", *shown]
    return {"api/features.md": text + "\n\n".join(parts) + "\n"}


def _section(name: str, text: str, case: Case) -> str:
    others = [found for found in [in_nnx(case, name)] if found and case.framework == "linen"]
    tabs = [
        f":::{{tab-item}} {one.framework}\n```python\n{_definitions(one)}\n```\n:::"
        for one in [case, *others]
    ]
    head = f"({name})=\n### `{name}`"
    said = [f"{text[0].upper()}{text[1:]}."] if text != name else []
    return "\n\n".join([head, *said, "::::{tab-set}", *tabs, "::::"])


def _definitions(case: Case) -> str:
    """Returns the text of a module, of what it is made of, and of its inputs."""
    dialect = DIALECTS[case.framework]
    body = "\n\n\n".join([*dialect.definitions(case), "\n".join(input_lines(case))])
    return "\n\n\n".join([*piece_texts(body, dialect.pieces), body])


def _mark(name: str, known: Collection[str]) -> str:
    return "yes" if name in known else ""
