"""What the converters to ONNX do beside converting.

Checked with jax2onnx 0.17.1 and tf2onnx 1.17 (tests/compat/test_onnx_converters.py).

- jax2onnx leaves functions of its own in `jax.numpy` after a conversion: among them a `cumsum` that
  takes less than JAX's (S4).
- the logger `tf2onnx.shape_inference`: tf2onnx warns there of each operation whose shape it cannot
  infer, those that stand for programs of JAX included, whose shapes the trace has (S4).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import jax.numpy as jnp

__all__ = ["keeping_numpy_of_jax", "without_warnings_of"]


@contextlib.contextmanager
def keeping_numpy_of_jax() -> Iterator[None]:
    """Puts everything in `jax.numpy` back that what runs inside replaces."""
    before = dict(vars(jnp))
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(jnp, name, value)


@contextlib.contextmanager
def without_warnings_of(operation: str) -> Iterator[None]:
    """Stops warnings of tf2onnx that the shape of an operation's results cannot be inferred.

    Args:
        operation: The kind of the operation.
    """

    def is_other(record: logging.LogRecord) -> bool:
        return operation not in record.getMessage()

    logger = logging.getLogger("tf2onnx.shape_inference")
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)
