"""A page for each check: its laws, what it needs, what it compares, and how it fails."""

from __future__ import annotations

import inspect
import textwrap
from itertools import groupby

from mdit_py_plugins.anchors.index import slugify

from conformance.failures import read_failures
from conformance.laws import ELSEWHERE, LAWS
from docs.site.check_advice import advice_for
from flaxlayer_testing import Check, checks

__all__ = ["check_pages"]

_LAWS = LAWS | ELSEWHERE
_LONGEST = 3000
_ADVICE = """\
- The last line of a failure is a command that replays it.
- An error with a *fix* says what to change: a setting of the layer, or the module.
- Two sides that differ (`ParityError`) are no mistake of yours if raw Flax is right: report it
  with the command that replays it.
- What you know and live with is an [expected failure](../checking.md#known-failures)."""


def check_pages() -> dict[str, str]:
    """Returns a page for each check and one that lists them, by their places."""
    known, failures = checks(slow=True), read_failures()
    pages = {f"checks/{one.name}.md": _page(one, failures.get(one.name)) for one in known}
    return {"checks/index.md": _index(known), **pages}


def _index(known: tuple[Check, ...]) -> str:
    parts = [
        "# The checks",
        f"{len(known)} checks compare a layer with raw Flax. Those that apply to your module run "
        "with `check_module`, [in pytest](../tutorials/own_library.md), and with "
        "[one command](../start/ready.md); the others say why they do not. The page of a check "
        "says what it compares, shows how it fails, and what to do then.",
    ]
    for home, members in groupby(known, key=lambda one: one.home):
        title = home.rpartition(".")[2].replace("_", " ").capitalize()
        rows = [
            f"| [`{one.name}`]({one.name}.md) | {one.summary} | {', '.join(one.laws)} |"
            for one in members
        ]
        head = ["| check | what it checks | laws |", "| --- | --- | --- |"]
        parts += [f"## {title}", "\n".join([*head, *rows])]
    names = "\n".join(one.name for one in known)
    return "\n\n".join([*parts, f"```{{toctree}}\n:hidden:\n\n{names}\n```"]) + "\n"


def _page(one: Check, failure: dict[str, str] | None) -> str:
    needs = (
        "; ".join(f"skipped where {need.reason}" for need in one.needs) or "runs on every module"
    )
    when = "only when asked for: `--slow`, or by its name" if one.slow else "with the usual checks"
    laws = ", ".join(map(_law, one.laws))
    more = inspect.getdoc(one.function) or ""
    parts = [
        f"# `{one.name}`",
        more,
        f"- **Laws**: {laws}\n- **Runs**: {when}\n- **Needs**: {needs}",
        "```sh\nflaxlayer-conformance check my_package.nets:Net --input 'float32[8,12]' "
        f"--only {one.name}\n```",
        "## What it compares",
        f"```python\n{textwrap.dedent(inspect.getsource(one.function)).strip()}\n```",
        *_failure(one, failure),
        "## What to do",
        f"- **Mostly**: {advice_for(one.name, one.home)}\n{_ADVICE}",
    ]
    return "\n\n".join(parts) + "\n"


def _law(law: str) -> str:
    title = f"{law} {_LAWS.get(law, '')}".strip()
    return f"[{title}](../laws.md#{slugify(title)})" if law in _LAWS else title


def _failure(one: Check, failure: dict[str, str] | None) -> list[str]:
    if failure is None:
        return []
    message, laws = failure["message"], ", ".join(one.laws)
    if len(message) > _LONGEST:
        message = f"{message[:_LONGEST]}\n..."
    return [
        "## How it fails",
        "The check is proven: it catches layers that are broken on purpose, on modules that are "
        f"drawn. Of `{failure['fault']}` and the first module that shows it, it says:",
        f"````text\n{one.name} ({laws}) failed with {failure['error']}:\n{message}\n````",
    ]
