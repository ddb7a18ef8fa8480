"""The arrays of a weights file: looked at before they are read, and read one at a time (S3)."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import h5py
import jax
import numpy as np

from flaxlayer.compat.keras_stores import h5_groups, is_elsewhere
from flaxlayer.typing import Json, KerasStore

__all__ = ["ArrayHeader", "find_problems", "read_array"]

_DEFLATE, _CHECKSUM = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32
_LZF = 32000
_FILTERS = frozenset({_DEFLATE, _CHECKSUM, _LZF, h5py.h5z.FILTER_SHUFFLE})
_SMALL = 1 << 20
_MAX_CHUNKS = 1 << 20
_BFLOAT16 = jax.numpy.dtype("bfloat16")


@dataclass(frozen=True)
class ArrayHeader:
    """What a file says of an array.

    Attributes:
        shape: Its shape.
        dtype: The dtype that it is read with.
        stored: How many bytes of the file it takes, None for an array in memory.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    stored: int | None = None

    @property
    def nbytes(self) -> int:
        """How many bytes it takes in memory."""
        return math.prod(self.shape) * self.dtype.itemsize


def find_problems(
    store: KerasStore, keys: Iterable[str], misfit: Callable[[str, ArrayHeader], str]
) -> dict[str, str]:
    """Tells of arrays in a file why they cannot be read, without reading them.

    Args:
        store: What Keras has of a file for a layer, or a mapping of arrays.
        keys: Which ones; a file may lack some.
        misfit: Returns why an array is not one that is expected, "" where it is.

    Returns:
        The problem of each array, "" for none.
    """
    left, problems = dict.fromkeys(keys), {}
    grouped = False
    for group in h5_groups(store):
        grouped = True
        if is_elsewhere(store, group):  # Keras before 3.14 follows links to other files
            return {key: _unreadable(key, "it stands in another file") for key in left}
        for key in [key for key in left if key in group]:
            problems[key] = _problem_in_file(group, key, misfit)
            del left[key]
    if grouped:
        return problems
    return {key: _problem_in_memory(store, key, misfit) for key in left if key in store}


def read_array(store: KerasStore, key: str) -> Json:
    """Returns an array of a file, or the error that came instead."""
    try:
        entry = store[key]
        if not hasattr(entry, "__array__"):
            return TypeError(f"it is a {type(entry).__name__}, not an array")
        return np.asarray(entry)
    except Exception as error:  # of a damaged file HDF5 raises errors of many classes
        return error


def _problem_in_memory(
    store: KerasStore, key: str, misfit: Callable[[str, ArrayHeader], str]
) -> str:
    value = read_array(store, key)
    if isinstance(value, Exception):
        return _unreadable(key, value)
    return misfit(key, ArrayHeader(value.shape, value.dtype))


def _problem_in_file(group: h5py.Group, key: str, misfit: Callable[[str, ArrayHeader], str]) -> str:
    try:
        link, dataset = group.get(key, getlink=True), None
        if isinstance(link, h5py.HardLink):
            link = dataset = group[key]
        if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
            return _unreadable(key, f"it is a {type(link).__name__}, not an array")
        dtype = _BFLOAT16 if _is_bfloat16(dataset) else dataset.dtype
        header = ArrayHeader(dataset.shape, dtype, dataset.id.get_storage_size())
        return misfit(key, header) or _unreadable(key, _odd_storage(dataset))
    except Exception as error:  # as above
        return _unreadable(key, error)


def _unreadable(key: str, reason: object) -> str:
    return f"{key} cannot be read: {str(reason)[:200]}" if str(reason) else ""


def _is_bfloat16(dataset: h5py.Dataset) -> bool:
    # Keras's mark: HDF5 has no such dtype.
    if "dtype" not in dataset.attrs:
        return False
    mark = dataset.attrs.get_id("dtype")
    return mark.shape == () and bool(dataset.attrs["dtype"] == "bfloat16")


def _odd_storage(dataset: h5py.Dataset) -> str:
    """Tells what no program that stores weights does, and what makes reading them dear."""
    if dataset.is_virtual or dataset.external:
        return "its values are not in the file"
    if dataset.chunks is None:
        return ""
    size = math.prod(dataset.chunks) * dataset.dtype.itemsize
    dims = zip(dataset.shape, dataset.chunks, strict=True)
    count = math.prod(-(-dim // chunk) for dim, chunk in dims)
    if size > max(_SMALL, 4 * dataset.nbytes) or count > _MAX_CHUNKS:
        return f"it is stored in {count:,} chunks of {size:,} bytes"
    plist = dataset.id.get_create_plist()
    filters = [plist.get_filter(index)[0] for index in range(plist.get_nfilters())]
    last = [code for code in filters if code != _CHECKSUM][-1:]
    if len(set(filters)) < len(filters) or not _FILTERS.issuperset(filters):
        return "it is stored through other filters than gzip, lzf, shuffle and checksums"
    if _DEFLATE in filters and last != [_DEFLATE]:
        return "it is compressed before it is shuffled"
    return _odd_chunks(dataset, filters, size)


def _odd_chunks(dataset: h5py.Dataset, filters: list[int], size: int) -> str:
    # HDF5 lets what it inflates grow without bound, whatever the size of the chunk.
    chunks: list[Json] = []
    dataset.id.chunk_iter(chunks.append)
    for chunk in chunks:
        if chunk.size > size + (size >> 6) + 1024:
            return f"a chunk of {size:,} bytes takes {chunk.size:,}"
        if _DEFLATE not in filters or chunk.filter_mask & (1 << filters.index(_DEFLATE)):
            continue
        _, data = dataset.id.read_direct_chunk(chunk.chunk_offset)
        if len(zlib.decompressobj().decompress(data, size + 5)) > size + 4:
            return f"a chunk of {size:,} bytes inflates to more"
    return ""
