"""Stock classes of packages that a process may or may not have imported (S2)."""

from __future__ import annotations

__all__ = ["optional_class", "optional_name"]

import sys
from collections.abc import Mapping
from types import MappingProxyType

# The module is looked up among the imported ones, and never imported.
_PLACES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        f"ml_collections:{name}": ("ml_collections.config_dict.config_dict", name)
        for name in ("ConfigDict", "FrozenConfigDict", "FieldReference")
    }
)


def optional_class(name: str) -> type | None:
    """The class that a stock name stands for, None where its package is not imported.

    Example:

    ```python
    >>> optional_class("os:system") is None
    True

    ```
    """
    module, attribute = _PLACES.get(name, ("", ""))
    found = vars(sys.modules[module]).get(attribute) if module in sys.modules else None
    return found if isinstance(found, type) else None


def optional_name(value: object) -> str | None:
    """The stock name of a class of such a package, None for anything else."""
    if not isinstance(value, type):
        return None
    return next((name for name in _PLACES if optional_class(name) is value), None)
