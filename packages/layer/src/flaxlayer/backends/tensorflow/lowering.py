"""A function of JAX as a StableHLO module that TensorFlow runs, or a refusal by name (K2, K4)."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import keras
import tensorflow as tf
from jax import export

from flaxlayer.compat.jax_primitives import callbacks_of
from flaxlayer.compat.jax_tracing import symbolic_padding
from flaxlayer.compat.stablehlo import (
    DEVICE_OPERATIONS,
    STABLEHLO_VERSION,
    CustomCallError,
    export_function,
    portable_artifact,
)
from flaxlayer.compat.tensorflow_operations import call_module
from flaxlayer.typing import FlatCallable
from flaxlayer_core import LowerModuleError, drop_symbols

__all__ = ["Lowered", "lower", "missing_operation"]

# What XLA's own compiler for the CPU expands or knows: TensorFlow has it too.
_XLA_CALLS = frozenset(
    {
        "ApproxTopK",
        "Eigh",
        "ProductOfElementaryHouseholderReflectors",
        "Qr",
        "Sharding",
        "TopK",
        "shape_assertion",
        "stablehlo.dynamic_reduce_window",
        "stablehlo.dynamic_rng_bit_generator",
        "stablehlo.dynamic_top_k",
    }
)


class Lowered:
    """A function of flat arrays, ready to run in TensorFlow.

    Args:
        exported: What JAX exported.
        module: The module as TensorFlow reads it.

    Attributes:
        outputs: The abstract results.
    """

    def __init__(self, exported: export.Exported, module: bytes) -> None:
        self.outputs = tuple(exported.out_avals)
        self._kept = tuple(exported.module_kept_var_idx)
        self._run = functools.partial(
            call_module,
            module=module,
            version=exported.calling_convention_version,
            dtypes=tuple(tf.as_dtype(output.dtype) for output in self.outputs),
            shapes=tuple(drop_symbols(output.shape) for output in self.outputs),
            platforms=exported.platforms,
        )

    def __call__(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Runs it on all of its inputs; what the module does not need is left out."""
        return self._run([tensors[index] for index in self._kept])

    def run(self, tensors: Sequence[tf.Tensor]) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Returns the results, and no residuals."""
        return self(tensors), []


def lower(
    function: FlatCallable,
    inputs: Sequence[jax.ShapeDtypeStruct],
    *,
    title: str,
    platforms: Sequence[str] = ("cpu",),
) -> Lowered:
    """Lowers a function for TensorFlow.

    Args:
        function: Takes and returns flat arrays.
        inputs: Abstract arrays; dimensions may be symbolic.
        title: What to name in an error.
        platforms: What it shall run on.

    Returns:
        The function for TensorFlow.

    Raises:
        LowerModuleError: If an operation in it cannot run there (K4).
    """
    with symbolic_padding():
        compiled = jax.jit(function)
        traced = compiled.trace(*inputs)
        _refuse(callbacks_of(traced.jaxpr), "a callback into Python", title)
        try:
            exported = export_function(compiled, inputs, platforms)
        except CustomCallError as error:
            raise _refusal(str(error), title) from error

    def accept(names: frozenset[str]) -> None:
        over_devices = {name for name in names if name.startswith(DEVICE_OPERATIONS)}
        _refuse(sorted(over_devices), "a computation by device", title)
        _refuse(sorted(names - _XLA_CALLS), "a function of JAX's own libraries", title)

    try:
        return Lowered(exported, portable_artifact(exported.mlir_module_serialized, accept))
    except LowerModuleError:
        raise
    except ValueError as error:
        found = f"what StableHLO {STABLEHLO_VERSION} cannot express ({error})"
        raise _refusal(found, title) from error


def _refuse(names: Sequence[str], what: str, title: str) -> None:
    if names:
        raise _refusal(f"{', '.join(names)} ({what})", title)


def _refusal(found: str, title: str) -> LowerModuleError:
    other = ", or set KERAS_BACKEND=jax" if keras.backend.backend() == "tensorflow" else ""
    fix = f"Write the module without that operation{other}."
    return missing_operation(f"{title} cannot run in TensorFlow.", found, fix)


def missing_operation(failed: str, found: str, fix: str) -> LowerModuleError:
    """Returns the error that TensorFlow lacks an operation (K4).

    Args:
        failed: What cannot be done.
        found: The operation.
        fix: What to do.
    """
    return LowerModuleError(
        failed,
        expected=f"operations that XLA has in TensorFlow {tf.__version__}",
        found=f"{found}, as JAX {jax.__version__} lowers it",
        fix=fix,
        law="K4",
    )
