"""Faulty layers, each broken in one way, and the check and message that must catch it (T5)."""

from conformance.faults import (
    build,
    calls,
    files,
    learning,
    models,
    policies,
    randomness,
    refusals,
    state,
    weights,
)
from conformance.faults.entry import FAULTS, Fault

__all__ = [
    "FAULTS",
    "Fault",
    "build",
    "calls",
    "files",
    "learning",
    "models",
    "policies",
    "randomness",
    "refusals",
    "state",
    "weights",
]
