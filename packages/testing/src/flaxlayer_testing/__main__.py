"""Starts `flaxlayer-conformance`: chooses the backend before Keras is imported."""

from __future__ import annotations

import importlib
import os

__all__ = ["main"]


def main() -> None:
    """Runs the command."""
    os.environ.setdefault("KERAS_BACKEND", "jax")  # the only one that the layer runs on
    importlib.import_module("flaxlayer_testing.cli").app()


if __name__ == "__main__":
    main()
