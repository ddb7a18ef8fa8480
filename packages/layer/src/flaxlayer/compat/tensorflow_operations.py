"""The operation of TensorFlow that runs a module of StableHLO.

Checked with the versions of docs/versions.md (tests/compat/test_tensorflow_operations.py).

- `tensorflow.compiler.tf2xla.python.xla.call_module` has no public function in TensorFlow 2.21
  (K2).
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

__all__ = ["call_module"]


def call_module(
    tensors: Sequence[tf.Tensor],
    *,
    module: bytes,
    version: int,
    dtypes: Sequence[tf.DType],
    shapes: Sequence[Sequence[int | None]],
    platforms: Sequence[str] = ("cpu",),
) -> list[tf.Tensor]:
    """Runs a serialised module.

    Args:
        tensors: Its inputs.
        module: A portable artifact.
        version: The calling convention of `jax.export`.
        dtypes: The dtypes of its results.
        shapes: Their shapes, None where a dimension is unknown.
        platforms: What it was exported for.

    Returns:
        Its results.
    """
    return list(
        xla.call_module(
            tensors,
            version=version,
            module=module,
            Tout=dtypes,
            Sout=shapes,
            platforms=tuple(name.upper() for name in platforms),
            function_list=(),
            has_token_input_output=False,
            disabled_checks=(),
            use_shardy_partitioner=False,
        )
    )
