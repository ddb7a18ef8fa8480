"""What `jax2tf` makes of a model, as Keras's own export on the JAX backend does (S4)."""

from __future__ import annotations

from flaxlayer.backends.tensorflow.lowering import missing_operation
from flaxlayer.compat.private_jax2tf import DEVICE_OPERATIONS, portable_conversions

__all__ = ["convert_portably"]


def convert_portably() -> None:
    """Makes what `jax2tf` converts from now on such that TensorFlow runs it.

    By itself it writes the StableHLO of the installed JAX, and calls of JAX's own CPU library, and
    only the process that serves the SavedModel finds that TensorFlow has neither.

    Raises:
        LowerModuleError: In a conversion of what needs that library (K4).
    """
    portable_conversions(_accept)


def _accept(names: frozenset[str]) -> None:
    missing = sorted(name for name in names if name.startswith(("lapack_", DEVICE_OPERATIONS)))
    if missing:
        fix = (
            "Use flaxlayer.export(model, path) or flaxlayer.ExportArchive: they lower it to "
            "operations of XLA where it has them."
        )
        failed = "A model cannot be exported by way of jax2tf."
        raise missing_operation(failed, ", ".join(missing), fix)
