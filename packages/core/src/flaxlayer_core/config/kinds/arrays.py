"""Arrays, NumPy scalars and dtypes: forms kept apart, bytes exact."""

from __future__ import annotations

__all__ = ["ARRAY_KINDS"]

import base64
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from flaxlayer_core.config.kinds.leaves import read_bytes
from flaxlayer_core.config.reports import cannot_store, describe, explain, refuse, shorten
from flaxlayer_core.config.stock import DTYPES
from flaxlayer_core.config.walk import Decoder, Encoder, Kind, Node, exactly
from flaxlayer_core.typing import Leaf


def _is_array(value: object) -> bool:
    return type(value) is np.ndarray or isinstance(value, (np.generic, jax.Array))


def _form(value: object) -> str:
    if isinstance(value, jax.Array):
        return "jax_weak" if value.weak_type else "jax"
    return "numpy" if isinstance(value, np.ndarray) else "numpy_scalar"


def _encode_array(value: Leaf, path: str, walk: Encoder) -> Node:
    if isinstance(value, jax.core.Tracer):
        raise cannot_store(
            path, found=describe(value), fix="Hold a concrete array, or pass it at the call."
        )
    # The dtype first: arrays of typed keys have no nbytes in JAX 0.4.
    name = _dtype_name(value.dtype, path)
    if value.nbytes > walk.limits.payload_bytes:
        fix = "Make it a variable (self.param, self.variable) or an argument of the call."
        expected = f"arrays of at most {walk.limits.payload_bytes} bytes"
        raise cannot_store(
            path, expected=expected, found=f"{value.nbytes} bytes", fix=fix, law="S3"
        )
    data = _concrete(value, path)
    node: Node = {"form": _form(value), "dtype": name, "shape": list(data.shape)}
    if node["form"] == "jax_weak" and data.shape:
        raise cannot_store(
            path, found="a weakly typed array", fix="Give it a dtype: jnp.asarray(x, dtype)."
        )
    return node | {"data": base64.b64encode(data.tobytes()).decode("ascii")}


def _concrete(value: object, path: str) -> np.ndarray:
    try:
        return np.asarray(value)
    except RuntimeError as error:  # a deleted array, or one with parts on other machines
        found = f"an array that cannot be read: {error}"
        raise cannot_store(path, found=found, fix="Hold a NumPy array instead.") from error


def _dtype_name(dtype: object, path: str) -> str:
    name = getattr(dtype, "name", None)
    if isinstance(dtype, np.dtype) and DTYPES.get(str(name)) == dtype:
        return str(name)
    expected = "a numeric dtype in native byte order"
    raise cannot_store(
        path, expected=expected, found=f"dtype {dtype}", fix="Convert it to a numeric dtype."
    )


def _decode_array(node: Node, path: str, walk: Decoder) -> object:
    dtype, shape = _read_dtype(node["dtype"], path), _read_shape(node["shape"], path, walk)
    # NumPy counts what the sizes other than 0 would hold.
    if math.prod(filter(None, shape)) * dtype.itemsize > walk.limits.payload_bytes:
        expected = f"arrays of at most {walk.limits.payload_bytes} bytes"
        raise refuse(path, expected=expected, found=f"shape {shorten(node['shape'])}", law="S3")
    if not isinstance(node["data"], str) or len(node["data"]) % 4:
        raise refuse(path, expected="base64 text", found=shorten(node["data"]), law="S3")
    payload = read_bytes(node["data"], path)
    if len(payload) != math.prod(shape) * dtype.itemsize:
        expected = f"{math.prod(shape) * dtype.itemsize} bytes for {dtype.name}{list(shape)}"
        raise refuse(path, expected=expected, found=f"{len(payload)} bytes", law="S3")
    values = np.frombuffer(payload, dtype=dtype).reshape(shape).copy()
    return _restore(node["form"], values, path)


def _read_dtype(name: object, path: str) -> np.dtype[np.generic]:
    if isinstance(name, str) and name in DTYPES:
        return DTYPES[name]
    raise refuse(path, expected="the name of a numeric dtype", found=shorten(name))


def _read_shape(shape: object, path: str, walk: Decoder) -> tuple[int, ...]:
    most = walk.limits.dimensions
    if isinstance(shape, list) and len(shape) <= most and all(map(_is_dimension, shape)):
        return tuple(shape)
    raise refuse(
        path, expected=f"a shape of at most {most} dimensions", found=shorten(shape), law="S3"
    )


def _is_dimension(size: object) -> bool:
    return type(size) is int and 0 <= size < 1 << 31


def _restore(form: object, values: np.ndarray, path: str) -> object:
    if form == "numpy":
        return values
    if form == "numpy_scalar" and not values.shape:
        return values[()]
    if form == "jax_weak" and not values.shape and values.dtype != np.uint64:
        return _checked(jnp.asarray(values.item()), values, path)
    if form == "jax":
        return _checked(jnp.asarray(values), values, path)
    raise refuse(
        path, expected="a known form of array", found=f"{shorten(form)} of shape {values.shape}"
    )


def _checked(array: jax.Array, values: np.ndarray, path: str) -> jax.Array:
    if array.dtype == values.dtype:
        return array
    fix = "jax.config.update('jax_enable_x64', ...) as it was when the module was stored."
    raise refuse(
        path,
        expected=f"dtype {values.dtype}",
        found=f"{array.dtype} on this machine",
        fix=fix,
        law="S1",
    )


def _is_dtype(value: object) -> bool:
    return isinstance(value, np.dtype)


def _encode_dtype(value: object, path: str, walk: Encoder) -> Node:
    return {"name": _dtype_name(value, path)}


def _decode_dtype(node: Node, path: str, walk: Decoder) -> np.dtype[np.generic]:
    return _read_dtype(node["name"], path)


def _encode_partition_spec(value: PartitionSpec, path: str, walk: Encoder) -> Node:
    if PartitionSpec(*value) != value:
        raise cannot_store(path, found=repr(value), fix="Hold a PartitionSpec of axis names alone.")
    return {"items": walk.items(tuple(value), path)}


def _decode_partition_spec(node: Node, path: str, walk: Decoder) -> PartitionSpec:
    items = walk.items(node["items"], path)
    try:
        spec = PartitionSpec(*items)
        hash(spec)  # JAX 0.4 takes anything for an axis
        return spec
    except (TypeError, ValueError) as error:
        raise refuse(path, expected="axis names", found=explain(error)) from error


ARRAY_KINDS = (
    Kind(
        "array",
        frozenset({"form", "dtype", "shape", "data"}),
        _is_array,
        _encode_array,
        _decode_array,
    ),
    Kind("dtype", frozenset({"name"}), _is_dtype, _encode_dtype, _decode_dtype),
    Kind(
        "partition_spec",
        frozenset({"items"}),
        exactly(PartitionSpec),
        _encode_partition_spec,
        _decode_partition_spec,
    ),
)
