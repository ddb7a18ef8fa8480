"""Starts `flaxlayer-conformance`: on JAX where nobody chose a backend for Keras."""

from __future__ import annotations

import importlib
import sys

from flaxlayer_core import ImportBackendError, prefer_jax, require_backend

__all__ = ["main"]


def main() -> None:
    """Runs the command."""
    prefer_jax()
    try:
        require_backend()
    except ImportBackendError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from error
    importlib.import_module("flaxlayer_testing.cli.app").app()


if __name__ == "__main__":
    main()
