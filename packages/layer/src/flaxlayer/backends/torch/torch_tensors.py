"""Tensors of torch as JAX sees them, and arrays of JAX as tensors, in one memory (K3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import torch
from torch.autograd.forward_ad import unpack_dual

from flaxlayer.backends.dtypes import canonical_dtype, number_spec
from flaxlayer.compat.private_torch import export_array, import_tensor
from flaxlayer.typing import BackendArray, DType
from flaxlayer_core import ArraySpec, CallArgumentError, LowerModuleError

__all__ = [
    "describe",
    "prepared",
    "to_abstract",
    "to_jax",
    "to_tensors",
    "torch_dtype",
    "unsigned_tensor",
    "view",
]

_NAMES = (
    *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
    *("float8_e4m3fn", "float8_e5m2"),
)
_TO_TORCH: Mapping[np.dtype[Any], torch.dtype] = MappingProxyType(
    {jnp.dtype(name): getattr(torch, name) for name in _NAMES}
)
_UNSIGNED = frozenset(map(np.dtype, ("uint16", "uint32", "uint64")))
_TO_NUMPY: Mapping[torch.dtype, np.dtype[Any]] = MappingProxyType(
    {found: dtype for dtype, found in _TO_TORCH.items()}
)


def torch_dtype(dtype: DType, title: str) -> torch.dtype:
    """Returns the dtype of torch for one of JAX.

    Args:
        dtype: A dtype of NumPy or JAX.
        title: What to name in an error.

    Raises:
        LowerModuleError: If torch has none.
    """
    found = _TO_TORCH.get(dtype)
    if found is None:
        raise LowerModuleError(
            f"{title} cannot run on the torch backend.",
            expected="outputs and state of a dtype that torch has",
            found=str(dtype),
            fix="Convert it inside the module.",
            law="K4",
        )
    return found


def describe(array: BackendArray) -> ArraySpec:
    """Returns shape and dtype as JAX gives them: 64-bit types only under x64.

    Raises:
        CallArgumentError: If it is no dense tensor of numbers that JAX knows.
    """
    if type(array) in (float, complex):
        return number_spec(array)
    if isinstance(array, keras.Variable):
        array = array.value
    dtype = _dtype_of(array) if isinstance(array, torch.Tensor) else array.dtype
    return ArraySpec(tuple(array.shape), canonical_dtype(dtype))


def prepared(tensor: torch.Tensor) -> torch.Tensor:
    """Returns a tensor as JAX can read its memory: itself, if it is plain.

    What is made of it depends on it, for torch's gradients.

    Raises:
        CallArgumentError: If it is no dense tensor of numbers that JAX knows.
    """
    dtype = _dtype_of(tensor)
    canonical = canonical_dtype(dtype)
    if canonical != dtype:
        tensor = tensor.to(_TO_TORCH[canonical])
    return tensor.resolve_conj().resolve_neg().contiguous()


def view(tensor: torch.Tensor) -> jax.Array:
    """Returns an array in the memory of a prepared tensor; a copy where that is not aligned.

    Raises:
        LowerModuleError: If torch is tracing, or differentiating forward, or the tensor has no
            memory that JAX can read (K4).
    """
    if torch.compiler.is_exporting() or torch.jit.is_tracing():
        raise LowerModuleError(
            "A FlaxLayer cannot be exported from the torch backend.",
            expected="operations of torch, which torch.export, torch.jit and torch.onnx trace",
            found="a program of JAX",
            fix="Save the model, load it under KERAS_BACKEND=jax or KERAS_BACKEND=tensorflow, and "
            "export it there: files hold on every backend.",
            law="K4",
        )
    if unpack_dual(tensor).tangent is not None:
        raise LowerModuleError(
            "A FlaxLayer has no forward-mode gradient on the torch backend.",
            expected="a tensor without a tangent",
            found="a tensor of torch.autograd.forward_ad.make_dual",
            fix="Use backward gradients, or jax.jvp of the module: layer.to_module().",
            law="K4",
        )
    plain = tensor.detach()
    try:
        # Of a fake tensor JAX would read what is not there; a wrapper of others has no storage.
        if type(plain) is not torch.Tensor and plain.untyped_storage().device.type == "meta":
            raise _refusal(tensor, "no memory")
        return import_tensor(plain)
    except (RuntimeError, BufferError) as error:
        raise _refusal(tensor, str(error).partition("\n")[0]) from error


def _refusal(tensor: torch.Tensor, found: str) -> LowerModuleError:
    return LowerModuleError(
        f"A FlaxLayer got a {type(tensor).__name__} on {tensor.device} that JAX cannot read.",
        expected="a tensor with memory of its own, on a device that JAX has too",
        found=found,
        fix="Call the layer outside of torch.func, torch.vmap and modes of fake tensors. For a "
        "tensor on a GPU, install JAX for it: pip install 'jax[cuda12]'.",
        law="K4",
    )


def to_jax(array: BackendArray) -> jax.Array:
    """Returns the value of a tensor, a variable or an array of NumPy, in memory of its own."""
    if isinstance(array, keras.Variable):
        array = array.value
    if isinstance(array, torch.Tensor):
        # In place, torch writes to what was an immutable array of JAX.
        array = view(prepared(array))
    return jnp.array(array)


def to_tensors(arrays: Sequence[jax.Array], title: str) -> list[Any]:
    """Returns tensors in the memory of arrays that nothing else of JAX holds; keys stay.

    Args:
        arrays: What one program of JAX gave.
        title: What to name in an error.

    Raises:
        LowerModuleError: If torch has no such dtype.
    """
    for array in arrays[-1:]:
        array.block_until_ready()  # all of one program are ready together
    return [_to_tensor(array, title) for array in arrays]


def to_abstract(array: jax.ShapeDtypeStruct, title: str) -> torch.Tensor:
    """Returns a tensor without values, for Keras's symbolic calls."""
    dtype = torch_dtype(array.dtype, title)
    return torch.empty(array.shape, dtype=dtype, device="meta")


def unsigned_tensor(array: BackendArray) -> BackendArray:
    """Returns a tensor for an array of unsigned integers, anything else as it is."""
    concrete = isinstance(array, np.ndarray | np.generic | jax.Array)
    if not concrete or isinstance(array, jax.core.Tracer) or array.dtype not in _UNSIGNED:
        return array
    return torch.from_numpy(np.array(array))


def _to_tensor(array: jax.Array, title: str) -> Any:
    if array.dtype not in _TO_TORCH:
        if jnp.issubdtype(array.dtype, jax.dtypes.extended):
            return array
        torch_dtype(array.dtype, title)
    return export_array(array)


def _dtype_of(tensor: torch.Tensor) -> np.dtype[Any]:
    dense = tensor.layout is torch.strided and not tensor.is_nested
    dtype = _TO_NUMPY.get(tensor.dtype)
    if not dense or dtype is None:
        found = str(tensor.dtype if dense else tensor.layout)
        raise CallArgumentError(
            "A FlaxLayer got a tensor that JAX cannot read.",
            expected=f"a dense tensor of one of {', '.join(_NAMES)}",
            found=found,
            fix="Convert it: tensor.to_dense(), tensor.dequantize(), tensor.to(torch.float32), or "
            "torch.nested.to_padded_tensor.",
            law="A1",
        )
    return dtype
