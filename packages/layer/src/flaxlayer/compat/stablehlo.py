"""Modules of StableHLO as JAX writes them and as TensorFlow reads them.

Checked with the versions of docs/versions.md (tests/compat/test_stablehlo.py).

- `jaxlib.mlir`: `jax.export` serialises for consumers of its own age, newer than what TensorFlow
  reads. Here composites become calls of their decompositions, which TensorFlow's refinement of
  dynamic shapes needs, shardings are dropped, whose dialect TensorFlow does not read in a module,
  and it is written in the version that TensorFlow reads (K2).
- `jax.export.export(_override_lowering_rules=...)`, `mlir._lowerings` and
  `_platform_specific_lowerings`: what JAX lowers to functions of its own CPU library is lowered to
  operations of XLA instead, as JAX does on platforms without that library (K4).
- the words of the `ValueError` with which `jax.export` refuses custom calls: it has no class (K4).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax import export
from jax._src.interpreters import mlir
from jax._src.lax import linalg
from jax.interpreters.mlir import make_ir_context
from jaxlib.mlir import ir, passmanager
from jaxlib.mlir.dialects import stablehlo

__all__ = [
    "DEVICE_OPERATIONS",
    "STABLEHLO_VERSION",
    "CustomCallError",
    "export_function",
    "portable_artifact",
]

# What TensorFlow 2.21 says that it reads; later releases read what earlier ones did.
STABLEHLO_VERSION = "1.13.7"
# Of `jax.lax.linalg`: those that JAX can lower without LAPACK.
_LAPACK = (
    "cholesky",
    "eigh",
    "geqrf",
    "householder_product",
    "lu",
    "ormqr",
    "svd",
    "triangular_solve",
    "tridiagonal_solve",
)
# How the names of what computes by device begin (`jax.shard_map`).
DEVICE_OPERATIONS = "sdy."
# Those that only say how a value is laid out, and give it as they take it.
_SHARDING_OPERATIONS = frozenset(
    {"sdy.propagation_barrier", "sdy.reshard", "sdy.sharding_constraint"}
)
_COMPOSITES_TO_CALLS = "builtin.module(func.func(stablehlo-legalize-composite-to-call))"

stablehlo.register_stablehlo_passes()


class CustomCallError(ValueError):
    """JAX exports no module with a custom call in it, in the words of JAX."""


def export_function(
    function: Any, inputs: Sequence[jax.ShapeDtypeStruct], platforms: Sequence[str] = ("cpu",)
) -> export.Exported:
    """Exports a function of arrays, without the functions of JAX's own libraries.

    Args:
        function: Takes and returns flat arrays; under `jax.jit`.
        inputs: Abstract arrays; dimensions may be symbolic.
        platforms: What it shall run on.

    Returns:
        What JAX exported.

    Raises:
        CustomCallError: If it calls what JAX does not promise to keep.
    """
    exporting = export.export(
        function, platforms=platforms, _override_lowering_rules=_rules_without_lapack()
    )
    try:
        return exporting(*inputs)
    except ValueError as error:
        if "custom calls" not in str(error):
            raise
        raise CustomCallError(str(error).partition("\n")[0]) from error


@functools.cache
def _rules_without_lapack() -> tuple[tuple[Any, Any], ...]:
    named = {name: getattr(linalg, f"{name}_p", None) for name in _LAPACK}
    rules: list[tuple[Any, Any]] = []
    for name, primitive in named.items():
        table = mlir._platform_specific_lowerings["tpu"] if name == "eigh" else mlir._lowerings
        if primitive in table:
            rules.append((primitive, table[primitive].rule))
    return tuple(rules)


def portable_artifact(serialized: bytes, accept: Callable[[frozenset[str]], None]) -> bytes:
    """Returns an exported module as TensorFlow reads it.

    Args:
        serialized: What JAX wrote.
        accept: Gets the names of the targets of its custom calls and of its operations on devices,
            and raises if it refuses one.

    Returns:
        The serialised module.

    Raises:
        ValueError: If the module cannot be written in the version that TensorFlow reads.
    """
    names: set[str] = set()

    def note(operation: Any) -> Any:
        if operation.name == "stablehlo.custom_call":
            names.add(ir.StringAttr(operation.attributes["call_target_name"]).value)
        if operation.name.startswith(DEVICE_OPERATIONS) and operation.name != "sdy.return":
            names.add(operation.name)
        return ir.WalkResult.ADVANCE

    with make_ir_context() as context:
        module = stablehlo.deserialize_portable_artifact(context, serialized)
        _drop_shardings(module)
        module.operation.walk(note)
        accept(frozenset(names))
        passmanager.PassManager.parse(_COMPOSITES_TO_CALLS).run(module.operation)
        data: bytes = stablehlo.serialize_portable_artifact(module, STABLEHLO_VERSION)
    return data


def _drop_shardings(module: Any) -> None:
    """TensorFlow places a module by itself: how JAX would lay its values out says nothing there."""
    dropped: list[Any] = []

    def visit(operation: Any) -> Any:
        if operation.name in _SHARDING_OPERATIONS:
            operation.results[0].replace_all_uses_with(operation.operands[0])
        if operation.name in _SHARDING_OPERATIONS or operation.name == "sdy.mesh":
            dropped.append(operation)
        attributes = operation.attributes
        if "sdy.sharding" in attributes:
            del attributes["sdy.sharding"]
        for name in ("arg_attrs", "res_attrs"):
            if name in attributes:
                attributes[name] = ir.ArrayAttr.get(list(map(_without_sharding, attributes[name])))
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    for operation in dropped:
        operation.erase()


def _without_sharding(attributes: Any) -> Any:
    pairs = (attributes[index] for index in range(len(attributes)))
    kept = {pair.name: pair.attr for pair in pairs if pair.name != "sdy.sharding"}
    return ir.DictAttr.get(kept)
