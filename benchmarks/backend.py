"""The backend that a benchmark runs on, which stands above its figures."""

from __future__ import annotations

import keras

__all__ = ["print_backend"]


def print_backend() -> None:
    """Prints the version of Keras and its backend."""
    print(f"Keras {keras.__version__} on {keras.backend.backend()}\n", flush=True)
