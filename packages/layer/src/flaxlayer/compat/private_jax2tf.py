"""The private APIs of TensorFlow and JAX that this backend needs, each with its reason.

Checked with the versions of docs/versions.md (tests/tensorflow/test_compat.py).

- `tensorflow.compiler.tf2xla.python.xla.call_module`: the operation that runs a StableHLO module
  has no public function in TensorFlow 2.21 (K2).
- `jaxlib.mlir`: `jax.export` serialises for consumers of its own age, newer than what TensorFlow
  reads. Here composites become calls of their decompositions, which TensorFlow's refinement of
  dynamic shapes needs, shardings are dropped, whose dialect TensorFlow does not read in a module,
  and it is written in the version that TensorFlow reads (K2).
- `jax.export.export(_override_lowering_rules=...)`, `mlir._lowerings` and
  `_platform_specific_lowerings`: what JAX lowers to functions of its own CPU library is lowered to
  operations of XLA instead, as JAX does on platforms without that library (K4).
- `jax.config` has its options as attributes that JAX's types do not declare; what `jax.jit` keys
  its functions by has no public name (A6).
- `operator` in `jax._src.lax.convolution`: the gradient of a strided convolution computes its
  padding from sizes; a check that means to find wrong types refuses symbolic ones, which all that
  comes after it handles (K2).
- `jax._src.export._export._module_to_bytecode`: `Model.export` of Keras on the JAX backend converts
  by `jax2tf`, which takes what this function writes, and offers no choice of version (S4).
"""

from __future__ import annotations

import contextlib
import functools
import operator
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import tensorflow as tf
from jax import export
from jax._src.export import _export
from jax._src.interpreters import mlir
from jax._src.lax import convolution, linalg
from jax.interpreters.mlir import make_ir_context
from jaxlib.mlir import ir, passmanager
from jaxlib.mlir.dialects import stablehlo
from tensorflow.compiler.tf2xla.python import xla

from flaxlayer.compat.private_keras import in_jax2tf

__all__ = [
    "DEVICE_OPERATIONS",
    "STABLEHLO_VERSION",
    "call_module",
    "export_function",
    "jit_is_disabled",
    "portable_artifact",
    "portable_conversions",
    "symbolic_padding",
    "trace_context",
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


def trace_context() -> tuple[Any, ...]:
    """Returns the settings of JAX, in this thread, that change what a function is traced to."""
    config: Any = jax.config
    return (
        config.jax_enable_x64,
        config.jax_default_matmul_precision,
        config.jax_numpy_dtype_promotion,
        config.jax_threefry_partitionable,
    )


def jit_is_disabled() -> bool:
    """Tells whether `jax.disable_jit` is on in this thread."""
    config: Any = jax.config
    return bool(config.jax_disable_jit)


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
    """
    exporting = export.export(
        function, platforms=platforms, _override_lowering_rules=_rules_without_lapack()
    )
    return exporting(*inputs)


@functools.cache
def _rules_without_lapack() -> tuple[tuple[Any, Any], ...]:
    named = {name: getattr(linalg, f"{name}_p", None) for name in _LAPACK}
    rules: list[tuple[Any, Any]] = []
    for name, primitive in named.items():
        table = mlir._platform_specific_lowerings["tpu"] if name == "eigh" else mlir._lowerings
        if primitive in table:
            rules.append((primitive, table[primitive].rule))
    return tuple(rules)


_padding_lock = threading.RLock()


@contextlib.contextmanager
def symbolic_padding() -> Iterator[None]:
    """Lets a convolution be traced whose padding is symbolic.

    Yields:
        Nothing.
    """
    patched: Any = convolution
    with _padding_lock:
        strict, patched.operator = patched.operator, _operator(export.is_symbolic_dim)
        try:
            yield
        finally:
            patched.operator = strict


def _operator(passes: Callable[[Any], bool]) -> Any:
    def index(dim: Any) -> Any:
        return dim if passes(dim) else operator.index(dim)

    known = {name: getattr(operator, name) for name in operator.__all__}
    return types.SimpleNamespace(**{**known, "index": index})


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


@functools.cache
def portable_conversions(accept: Callable[[frozenset[str]], None]) -> None:
    """Makes what `jax2tf` converts from now on such that TensorFlow reads it.

    Other exports stay as they are. It is not undone: the gradients of a SavedModel are converted
    when it is written, after the model was traced.

    Args:
        accept: See `portable_artifact`.
    """
    patched: Any = _export
    write = patched._module_to_bytecode

    def write_portable(module: Any) -> bytes:
        data: bytes = write(module)
        return portable_artifact(data, accept) if in_jax2tf() else data

    patched._module_to_bytecode = write_portable
    padded: Any = convolution
    with _padding_lock:
        padded.operator = _operator(lambda dim: in_jax2tf() and export.is_symbolic_dim(dim))


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
