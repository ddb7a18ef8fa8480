"""The private APIs of TensorFlow and JAX that this backend needs, each with its reason.

Checked with the versions of docs/versions.md (tests/tensorflow/test_compat.py).

- `tensorflow.compiler.tf2xla.python.xla.call_module`: the operation that runs a StableHLO module
  has no public function in TensorFlow 2.21 (K2).
- `jaxlib.mlir`: `jax.export` serialises for consumers of its own age, newer than what TensorFlow
  reads. Here composites become calls of their decompositions, which TensorFlow's refinement of
  dynamic shapes needs, and the module is written in the version that TensorFlow reads (K2).
- `jax.export.export(_override_lowering_rules=...)`: what JAX lowers to functions of its own CPU
  library is lowered to operations of XLA instead (K4).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import tensorflow as tf
from jax import export
from jax.interpreters.mlir import make_ir_context
from jaxlib.mlir import ir, passmanager
from jaxlib.mlir.dialects import stablehlo
from tensorflow.compiler.tf2xla.python import xla

__all__ = ["STABLEHLO_VERSION", "call_module", "export_function", "portable_artifact"]

# What TensorFlow 2.21 says that it reads; later releases read what earlier ones did.
STABLEHLO_VERSION = "1.13.7"
_COMPOSITES_TO_CALLS = "builtin.module(func.func(stablehlo-legalize-composite-to-call))"

stablehlo.register_stablehlo_passes()


def export_function(
    function: Any, inputs: Sequence[jax.ShapeDtypeStruct], overrides: Iterable[tuple[Any, Any]]
) -> export.Exported:
    """Exports a function of arrays for the CPU.

    Args:
        function: Takes and returns flat arrays.
        inputs: Abstract arrays; dimensions may be symbolic.
        overrides: Pairs of a primitive and the rule that lowers it.

    Returns:
        What JAX exported.
    """
    exporting = export.export(
        jax.jit(function), platforms=("cpu",), _override_lowering_rules=tuple(overrides)
    )
    return exporting(*inputs)


def portable_artifact(exported: export.Exported) -> tuple[bytes, frozenset[str]]:
    """Returns an exported module as TensorFlow reads it, and the custom calls in it.

    Args:
        exported: What JAX exported.

    Returns:
        The serialised module, and the names of the targets of its custom calls.
    """
    targets: set[str] = set()

    def note(operation: Any) -> Any:
        if operation.name == "stablehlo.custom_call":
            targets.add(ir.StringAttr(operation.attributes["call_target_name"]).value)
        return ir.WalkResult.ADVANCE

    with make_ir_context():
        module = ir.Module.parse(exported.mlir_module())
        passmanager.PassManager.parse(_COMPOSITES_TO_CALLS).run(module.operation)
        module.operation.walk(note)
        data = stablehlo.serialize_portable_artifact(module, STABLEHLO_VERSION)
    return data, frozenset(targets)


def call_module(
    tensors: Sequence[tf.Tensor],
    *,
    module: bytes,
    version: int,
    dtypes: Sequence[tf.DType],
    shapes: Sequence[Sequence[int | None]],
) -> list[tf.Tensor]:
    """Runs a serialised module.

    Args:
        tensors: Its inputs.
        module: A portable artifact.
        version: The calling convention of `jax.export`.
        dtypes: The dtypes of its results.
        shapes: Their shapes, None where a dimension is unknown.

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
            platforms=("CPU",),
            function_list=(),
            has_token_input_output=False,
            disabled_checks=(),
            use_shardy_partitioner=False,
        )
    )
