"""Published modules of other people, drawn from what was recorded of them."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from itertools import groupby
from typing import Any

from conformance.field.entries import ENTRIES, PINS
from conformance.field.entry import SCENARIO, Published
from conformance.field.record import recorded
from flaxlayer_testing import checks

__all__ = ["gallery_page"]

_BACKENDS = {"jax": "JAX", "tensorflow": "TensorFlow"}
_CELL = 7


def gallery_page() -> dict[str, str]:
    """Returns the gallery, by its place."""
    data, packages = recorded()["modules"], {one.package for one in ENTRIES}
    parts = [
        "# Gallery",
        f"{len(ENTRIES)} modules that other people published, from {len(packages)} packages of the "
        "registry, built tiny and checked like everything else. A card shows the checks on the JAX "
        "backend, a square each: green passed, yellow is a known failure, gray was skipped, as it "
        "needs what the module does not have. *In use* it was trained, saved and opened in another "
        "process beside raw Flax. All figures: [the field](field.md).",
    ]
    entries = sorted(ENTRIES, key=lambda one: (one.domain == "other", one.domain))
    for domain, members in groupby(entries, key=lambda one: one.domain):
        cards = [_card(one, data.get(one.title, {})) for one in members]
        grid = ["::::{grid} 1 2 2 3\n:gutter: 2", *cards, "::::"]
        parts += [f"## {domain.capitalize()}", *grid]
    return {"gallery.md": "\n\n".join(parts) + "\n"}


def _card(one: Published, found: Mapping[str, Any]) -> str:
    name = one.kind.rpartition(":")[2]
    uses = [
        f"{{bdg-success}}`{shown}`"
        for backend, shown in _BACKENDS.items()
        if SCENARIO in found.get(backend, {}).get("passed", ())
    ]
    counts = _counts(found.get("jax", {}))
    lines = [
        f":::{{grid-item-card}} {name}",
        f"`{one.package}` {PINS.get(one.package, '')}",
        _squares(found.get("jax", {})),
        counts,
        f"In use: {' '.join(uses)}" if uses else "Not run yet.",
        ":::",
    ]
    return "\n\n".join(line for line in lines if line)


def _counts(found: Mapping[str, Any]) -> str:
    parts = [(len(found.get(how, ())), how) for how in ("passed", "known", "skipped")]
    return ", ".join(f"{count} {how}" for count, how in parts if count)


def _squares(found: Mapping[str, Any]) -> str:
    """Returns a drawing with a square for each check."""
    names = [one.name for one in checks()]
    if not found:
        return ""
    how = {name: kind for kind in ("passed", "known", "skipped") for name in found.get(kind, ())}
    wide = 22
    squares = [
        f'<rect x="{index % wide * _CELL}" y="{index // wide * _CELL}" width="{_CELL - 1}" '
        f'height="{_CELL - 1}" class="check-{how.get(name, "absent")}">'
        f"<title>{escape(name)}: {how.get(name, 'not run')}</title></rect>"
        for index, name in enumerate(names)
    ]
    high = -(-len(names) // wide) * _CELL
    label = f"{_counts(found)} checks"
    return (
        f'<svg class="checks" role="img" aria-label="{label}" viewBox="0 0 {wide * _CELL} {high}" '
        f'width="{wide * _CELL}">{"".join(squares)}</svg>'
    )
