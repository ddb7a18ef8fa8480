"""What the zoo has to cover, read from the installed Flax and the list of laws (T7)."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import flax.linen as nn
from flax import nnx

from conformance.laws import LAWS
from conformance.zoo.entry import Entry

__all__ = [
    "EXCLUDED",
    "NNX_EXCLUDED",
    "linen_classes",
    "missing",
    "nnx_classes",
    "nnx_wanted",
    "stale_exclusions",
    "transforms",
    "wanted",
]

EXCLUDED = {
    "linen.Module": "the base of all modules, with no computation of its own",
    "linen.RNNCellBase": "the abstract base of the recurrent cells",
}
"""Public names without an entry, and why."""

NNX_EXCLUDED = {
    "nnx.Module": "the base of all modules, with no computation of its own",
    "nnx.RNNCellBase": "the abstract base of the recurrent cells",
    "nnx.bridge.Module": "the base of modules between both, with no computation of its own",
}
"""Public names of nnx without an entry, and why."""

_TRANSFORMS = "flax.linen.transforms"


def linen_classes(namespace: Mapping[str, Any]) -> set[str]:
    """Returns the public module classes of a namespace such as `vars(flax.linen)`."""
    return {
        f"linen.{name}"
        for name, value in namespace.items()
        if inspect.isclass(value) and issubclass(value, nn.Module) and not name.startswith("_")
    }


def nnx_classes(namespace: Mapping[str, Any], *, prefix: str = "nnx") -> set[str]:
    """Returns the public module classes of a namespace such as `vars(flax.nnx)`.

    Args:
        namespace: Values by name.
        prefix: What stands before the names; those of `nnx.bridge` may be linen modules, too.
    """
    return {
        f"{prefix}.{name}"
        for name, value in namespace.items()
        if inspect.isclass(value)
        and issubclass(value, nnx.Module | nn.Module)
        and not name.startswith("_")
    }


def nnx_wanted() -> set[str]:
    """Returns all of nnx that needs an entry."""
    return nnx_classes(vars(nnx)) | nnx_classes(vars(nnx.bridge), prefix="nnx.bridge")


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


def missing(
    names: Iterable[str], entries: Iterable[Entry], excluded: Mapping[str, str] = EXCLUDED
) -> list[str]:
    """Returns the names that no entry covers and that are not excluded for a reason."""
    covered = {name for entry in entries for name in entry.covers}
    return sorted(set(names) - covered - set(excluded))


def stale_exclusions(
    names: Iterable[str], entries: Iterable[Entry], excluded: Mapping[str, str] = EXCLUDED
) -> list[str]:
    """Returns the exclusions that Flax no longer has, or that an entry covers."""
    covered = {name for entry in entries for name in entry.covers}
    return sorted(set(excluded) - (set(names) - covered))
