"""What `jax2tf` makes of a model, as Keras's own export on the JAX backend does (S4)."""

from __future__ import annotations

from collections.abc import Sequence

from flaxlayer.backends.protocol import Run
from flaxlayer.backends.tensorflow.lowering import missing_operation
from flaxlayer.compat.jax2tf_conversions import rewrite_conversion
from flaxlayer.compat.jax_tracing import symbolic_padding
from flaxlayer.compat.stablehlo import DEVICE_OPERATIONS, portable_artifact
from flaxlayer.program import CallResult
from flaxlayer.typing import Array

__all__ = ["convert_portably"]


def convert_portably(run: Run) -> Run:
    """Returns a call for the trace of a conversion that TensorFlow will run.

    By itself `jax2tf` writes the StableHLO of the installed JAX, and calls of JAX's own CPU
    library, and only the process that serves the SavedModel finds that TensorFlow has neither.
    This conversion, and that of its gradient, raises a `LowerModuleError` of what needs that
    library (K4).

    Args:
        run: The call.
    """
    rewrite_conversion(_rewrite)

    def converted(values: Sequence[Array], seed: Array, arrays: Sequence[Array]) -> CallResult:
        with symbolic_padding():
            return run(values, seed, arrays)

    return converted


def _rewrite(module: bytes) -> bytes:
    return portable_artifact(module, _accept)


def _accept(names: frozenset[str]) -> None:
    missing = sorted(name for name in names if name.startswith(("lapack_", DEVICE_OPERATIONS)))
    if missing:
        fix = (
            "Use flaxlayer.export(model, path) or flaxlayer.ExportArchive: they lower it to "
            "operations of XLA where it has them."
        )
        failed = "A model cannot be exported by way of jax2tf."
        raise missing_operation(failed, ", ".join(missing), fix)
