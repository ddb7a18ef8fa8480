"""Reads what `flax.serialization.to_bytes` writes, in work and memory bound by the file (S3)."""

from __future__ import annotations

import io
import math
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from flaxlayer.saving.checkpoints.array_trees import MAX_DEPTH
from flaxlayer.saving.checkpoints.checkpoint_format import Check, CheckpointFormat, Choose
from flaxlayer.saving.stored_dtypes import named_dtype
from flaxlayer.typing import Array, PyTree

__all__ = ["FORMAT", "read_msgpack"]

_FEW_OBJECTS, _BYTES_PER_OBJECT = 1 << 16, 16
_MAX_RANK = 32
_ARRAY, _COMPLEX, _SCALAR = 1, 2, 3
_CHUNKED = "__msgpack_chunked_array__"

# What the first byte of an object says: kind, and the format of the number that follows.
_HEADS: dict[int, tuple[str, str]] = {
    0xC4: ("bytes", ">B"),
    0xC5: ("bytes", ">H"),
    0xC6: ("bytes", ">I"),
    0xC7: ("extension", ">B"),
    0xC8: ("extension", ">H"),
    0xC9: ("extension", ">I"),
    0xCA: ("number", ">f"),
    0xCB: ("number", ">d"),
    **{0xCC + index: ("number", code) for index, code in enumerate((">B", ">H", ">I", ">Q"))},
    **{0xD0 + index: ("number", code) for index, code in enumerate((">b", ">h", ">i", ">q"))},
    0xD9: ("text", ">B"),
    0xDA: ("text", ">H"),
    0xDB: ("text", ">I"),
    0xDC: ("list", ">H"),
    0xDD: ("list", ">I"),
    0xDE: ("map", ">H"),
    0xDF: ("map", ">I"),
}
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


def read_msgpack(path: Path) -> PyTree:
    """Reads a file of `flax.serialization.to_bytes`.

    Flax's own reader makes objects of whatever stands in a file: an empty map of one byte takes 64
    in memory. Here there are at most as many as a file of such arrays has.

    Args:
        path: The file.

    Returns:
        Nested dicts and lists of NumPy arrays, numbers, text and None.

    Raises:
        ValueError: If it is something else.
    """
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        if not size:
            raise ValueError("an empty file")
        file.seek(0)
        reader = _Reader(file, size, most=_FEW_OBJECTS + size // _BYTES_PER_OBJECT)
        tree = reader.value(0)
        reader.end()
    return tree


def _read(path: Path, choose: Choose, check: Check | None) -> dict[str, PyTree]:
    del check  # what was read is checked as other trees are
    return choose(read_msgpack(path))


FORMAT = CheckpointFormat(
    writer="flax.serialization.to_bytes",
    contents="a file of flax.serialization.to_bytes, or one that ends in .safetensors",
    extra="",
    claims=Path.is_file,
    read=_read,
)


class _Reader:
    """Reads objects one after the other, so that no more than one array stands beside its copy.

    Args:
        source: What they are read from.
        size: How many bytes there are.
        most: How many objects there may be.
    """

    def __init__(self, source: BinaryIO, size: int, most: int) -> None:
        self._source, self._left, self._most = source, size, most

    @classmethod
    def of_bytes(cls, data: bytes, most: int) -> _Reader:
        """Returns a reader of what stands in an object."""
        return cls(io.BytesIO(data), len(data), most)

    def end(self) -> None:
        """Refuses bytes that are left."""
        if self._left:
            raise ValueError(f"{self._left:,} bytes after its end")

    def value(self, depth: int) -> PyTree:
        """Reads an object with all that stands in it."""
        self._most -= 1
        if self._most < 0 or depth > MAX_DEPTH:
            raise ValueError("far more objects than arrays, or objects nested too deep")
        kind, number = self.head()
        if kind == "map":
            return self._map(number, depth)
        if kind == "list":
            return [self.value(depth + 1) for _ in range(number)]
        if kind == "text":
            return str(self.take(number), "utf-8")
        if kind == "extension":
            code = struct.unpack(">b", self.take(1))[0]
            return _extension(code, self.take(number))
        if kind == "bytes":
            raise ValueError("bytes that are no array")
        return number

    def _map(self, size: int, depth: int) -> PyTree:
        result: dict[str | int, PyTree] = {}
        for _ in range(size):
            key = self.key()
            if key in result:
                raise ValueError(f"the key {key!r:.80} twice")
            result[key] = self.value(depth + 1)
        return _unchunk(result) if _CHUNKED in result else result

    def key(self) -> str | int:
        """Reads a name, or the index of a list of nnx."""
        kind, number = self.head()
        if kind == "text":
            return str(self.take(number), "utf-8")
        if kind == "number" and isinstance(number, int):
            return number
        raise ValueError(f"a {kind} as a key")

    def head(self) -> tuple[str, Any]:
        """Reads the beginning of an object: its kind, and its size or value."""
        first = self.take(1)[0]
        if first < 0x80:
            return "number", first
        if first < 0x90:
            return "map", first & 0x0F
        if first < 0xA0:
            return "list", first & 0x0F
        if first < 0xC0:
            return "text", first & 0x1F
        if first in _CONSTANTS:
            return "constant", _CONSTANTS[first]
        if 0xD4 <= first <= 0xD8:
            return "extension", 1 << (first - 0xD4)
        if first >= 0xE0:
            return "number", first - 0x100
        if first not in _HEADS:
            raise ValueError(f"the byte {first:#x}, which begins no object")
        kind, code = _HEADS[first]
        return kind, struct.unpack(code, self.take(struct.calcsize(code)))[0]

    def take(self, size: int) -> bytes:
        """Reads bytes."""
        if size > self._left:
            raise ValueError("an end before the end of an object")
        self._left -= size
        return self._source.read(size)


def _extension(code: int, data: bytes) -> Array:
    if code == _COMPLEX:
        reader = _Reader.of_bytes(data, most=3)
        parts = reader.value(MAX_DEPTH - 1)
        reader.end()
        return complex(*parts)
    if code in (_ARRAY, _SCALAR):
        array = _array(_Reader.of_bytes(data, most=0))
        return array if code == _ARRAY else array[()]
    raise ValueError(f"an extension {code}, which Flax does not write")


def _array(reader: _Reader) -> np.ndarray:
    if reader.head() != ("list", 3):
        raise ValueError("an array that is no shape, dtype and data")
    kind, rank = reader.head()
    if kind != "list" or rank > _MAX_RANK:
        raise ValueError(f"an array whose shape is a {kind}")
    shape = tuple(reader.head() for _ in range(rank))
    if any(kind != "number" or not isinstance(dim, int) or dim < 0 for kind, dim in shape):
        raise ValueError("an array whose shape is not of sizes")
    dtype = _dtype(reader)
    kind, size = reader.head()
    dims = tuple(dim for _, dim in shape)
    if kind != "bytes" or size != math.prod(dims) * dtype.itemsize:
        raise ValueError(f"an array of another size than {dtype.name}{list(dims)!r:.200}")
    data = reader.take(size)
    reader.end()
    # A copy; and NumPy makes none of no bytes.
    return np.frombuffer(data, dtype).reshape(dims).copy() if size else np.zeros(dims, dtype)


def _dtype(reader: _Reader) -> np.dtype[Any]:
    kind, size = reader.head()
    if kind not in ("text", "bytes"):
        raise ValueError("an array without the name of a dtype")
    name = str(reader.take(size), "ascii")
    dtype = named_dtype(name)
    if dtype is None:
        raise ValueError(f"the dtype {name!r:.80}")
    return dtype


def _unchunk(stored: dict[str | int, PyTree]) -> np.ndarray:
    # Flax writes an array of more than 1 GiB in parts.
    shape, chunks = (_in_order(stored.get(name)) for name in ("shape", "chunks"))
    if not all(type(dim) is int and dim >= 0 for dim in shape):
        raise ValueError("a chunked array whose shape is not of sizes")
    if not all(isinstance(chunk, np.ndarray) and chunk.ndim == 1 for chunk in chunks):
        raise ValueError("a chunked array whose chunks are no flat arrays")
    if len({chunk.dtype for chunk in chunks}) != 1:
        raise ValueError("a chunked array of several dtypes, or none")
    return np.concatenate(chunks).reshape(shape)


def _in_order(stored: PyTree) -> list[PyTree]:
    if not isinstance(stored, dict) or list(stored) != list(map(str, range(len(stored)))):
        raise ValueError("a chunked array whose parts are not numbered")
    return list(stored.values())
