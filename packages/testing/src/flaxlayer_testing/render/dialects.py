"""Each dialect, by the framework that a case names."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from flaxlayer_testing.render.dialect import Dialect
from flaxlayer_testing.render.linen_dialect import LINEN
from flaxlayer_testing.render.nnx_dialect import NNX

__all__ = ["DIALECTS"]

DIALECTS: Mapping[str, Dialect] = MappingProxyType({"linen": LINEN, "nnx": NNX})
"""What a module can be written in, by the name of the framework."""
