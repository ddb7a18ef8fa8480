"""Faulty layers, each broken in one way, and the check and message that must catch it (T5)."""

import importlib

import flax.nnx

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
    threads,
    weights,
)
from conformance.faults.entry import FAULTS, Fault

if hasattr(flax.nnx, "data"):  # nnx modules ask for Flax 0.11
    importlib.import_module("conformance.faults.nnx")

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
    "threads",
    "weights",
]
