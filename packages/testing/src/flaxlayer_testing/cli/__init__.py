"""The command `flaxlayer-conformance` (T2, T8)."""
