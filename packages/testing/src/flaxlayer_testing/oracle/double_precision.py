"""The switch to 64 bits, under the name that the installed JAX has for it."""

from __future__ import annotations

import importlib
from typing import Any

import jax

__all__ = ["ENABLE_X64", "enable_x64"]

ENABLE_X64 = "jax.enable_x64" if hasattr(jax, "enable_x64") else "jax.experimental.enable_x64"
"""Its name: JAX took it out of `jax.experimental` after 0.4."""

_home, _, _name = ENABLE_X64.rpartition(".")

enable_x64: Any = getattr(importlib.import_module(_home), _name)
"""A context, `enable_x64(True)`, in which arrays may have 64 bits."""
