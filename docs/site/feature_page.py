"""The features of generated modules, from their list."""

from __future__ import annotations

from flaxlayer_testing import FEATURES, LINEN_FEATURES, NNX_FEATURES

__all__ = ["feature_page"]


def feature_page() -> dict[str, str]:
    """Returns the page of the features, by its place."""
    rows = [
        f"| `{name}` | {text} | {_mark(name in LINEN_FEATURES)} | {_mark(name in NNX_FEATURES)} |"
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
    return {"api/features.md": text + "\n".join(rows) + "\n"}


def _mark(has: bool) -> str:
    return "yes" if has else ""
