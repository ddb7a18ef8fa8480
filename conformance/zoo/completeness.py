"""What the zoo has to cover, read from the installed Flax and the list of laws (T7)."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import flax.linen as nn

from conformance.laws import LAWS
from conformance.zoo.entry import Entry

__all__ = ["EXCLUDED", "linen_classes", "missing", "stale_exclusions", "transforms", "wanted"]

EXCLUDED = {
    "linen.Module": "the base of all modules, with no computation of its own",
    "linen.RNNCellBase": "the abstract base of the recurrent cells",
}
"""Public names without an entry, and why."""

_TRANSFORMS = "flax.linen.transforms"


def linen_classes(namespace: Mapping[str, Any]) -> set[str]:
    """Returns the public module classes of a namespace such as `vars(flax.linen)`."""
    return {
        f"linen.{name}"
        for name, value in namespace.items()
        if inspect.isclass(value) and issubclass(value, nn.Module) and not name.startswith("_")
    }


def transforms(namespace: Mapping[str, Any]) -> set[str]:
    """Returns the public lifted transforms of a namespace such as `vars(flax.linen)`."""
    return {
        f"transform.{name}"
        for name, value in namespace.items()
        if inspect.isfunction(value)
        and value.__module__ == _TRANSFORMS
        and not name.startswith("_")
    }


def wanted() -> set[str]:
    """Returns all that needs an entry."""
    laws = {f"law.{law}" for law in LAWS}
    return linen_classes(vars(nn)) | transforms(vars(nn)) | laws


def missing(names: Iterable[str], entries: Iterable[Entry]) -> list[str]:
    """Returns the names that no entry covers and that are not excluded for a reason."""
    covered = {name for entry in entries for name in entry.covers}
    return sorted(set(names) - covered - set(EXCLUDED))


def stale_exclusions(names: Iterable[str], entries: Iterable[Entry]) -> list[str]:
    """Returns the exclusions that Flax no longer has, or that an entry covers."""
    covered = {name for entry in entries for name in entry.covers}
    return sorted(set(EXCLUDED) - (set(names) - covered))
