"""Module configuration to JSON and back, in a closed world (S1, S2, S3)."""

from __future__ import annotations

__all__ = [
    "Limits",
    "Resolver",
    "check_bounds",
    "decode_module",
    "decode_value",
    "encode_module",
    "encode_value",
    "explain",
    "register",
    "remember",
    "remember_maker",
    "shorten",
]

from flaxlayer_core.config.coding import decode_module, decode_value, encode_module, encode_value
from flaxlayer_core.config.implicit_registration import remember
from flaxlayer_core.config.kinds.makers import remember_maker
from flaxlayer_core.config.limits import Limits, check_bounds
from flaxlayer_core.config.registration import register
from flaxlayer_core.config.reports import explain, shorten
from flaxlayer_core.config.world import Resolver
