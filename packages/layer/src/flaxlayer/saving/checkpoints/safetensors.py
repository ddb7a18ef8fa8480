"""Reads files of safetensors, whose keys join names (W2, S3)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import jax
import numpy as np

from flaxlayer.saving.checkpoints.array_trees import MAX_DEPTH
from flaxlayer.saving.checkpoints.checkpoint_format import Check, CheckpointFormat, Choose
from flaxlayer.typing import PyTree
from flaxlayer_core import parse_path

__all__ = ["FORMAT", "read_safetensors"]

_MAX_TENSORS = 1 << 18
_DTYPES = {
    "BOOL": np.dtype(bool),
    **{f"U{bits}": np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64)},
    **{f"I{bits}": np.dtype(f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"F{bits}": np.dtype(f"float{bits}") for bits in (16, 32, 64)},
    "BF16": jax.numpy.dtype("bfloat16"),
    "C64": np.dtype("complex64"),
    "F8_E4M3": jax.numpy.dtype("float8_e4m3fn"),
    "F8_E5M2": jax.numpy.dtype("float8_e5m2"),
}


def read_safetensors(path: Path) -> dict[str, PyTree]:
    """Reads a tree whose keys are joined with `/` or `.`.

    Args:
        path: The file.

    Returns:
        Nested dicts of NumPy arrays.

    Raises:
        ImportError: If safetensors is not installed.
        ValueError: If a name is the beginning of another one, or there are too many of them.
        Exception: What safetensors raises of other files.
    """
    from safetensors import safe_open

    whole = path.stat().st_size
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = file.read(min(size, whole))
        if header.count(b"{") > _MAX_TENSORS:
            raise ValueError(f"{header.count(b'{'):,} tensors")
        with safe_open(path, "numpy"):
            pass  # which refuses a header that does not fit the file
        entries = json.loads(header, object_pairs_hook=_once)
        entries.pop("__metadata__", None)
        slashes = any("/" in name for name in entries)
        tree: dict[str, PyTree] = {}
        left = (1 << 16) + whole // 16
        for name, entry in entries.items():
            parts = parse_path(name) if slashes else tuple(name.split("."))
            left -= len(parts)
            if left < 0 or len(parts) > MAX_DEPTH:
                raise ValueError(f"a name of {len(parts):,} parts, or far more parts than arrays")
            _put(tree, parts, _array(file, 8 + size, entry))
    return tree


def _read(path: Path, choose: Choose, check: Check | None) -> dict[str, PyTree]:
    del check  # what was read is checked as other trees are
    return choose(read_safetensors(path))


FORMAT = CheckpointFormat(
    writer="safetensors",
    contents="a safetensors file whose names are not the beginning of one another",
    extra="safetensors",
    claims=lambda path: path.suffix == ".safetensors" and path.is_file(),
    read=_read,
)


def _put(tree: dict[str, PyTree], parts: tuple[str, ...], array: np.ndarray) -> None:
    node = tree
    for part in parts[:-1]:
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            raise _clash(parts)
    if parts[-1] in node:
        raise _clash(parts)
    node[parts[-1]] = array


def _clash(parts: tuple[str, ...]) -> ValueError:
    return ValueError(f"{'/'.join(parts)[:200]!r}, where another name is its beginning")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name that stands twice")
    return found


def _array(file: BinaryIO, start: int, entry: Mapping[str, Any]) -> np.ndarray:
    # The readers of safetensors itself know no bfloat16 (NumPy's) or no float64 (JAX's).
    dtype = _DTYPES[entry["dtype"]]
    first, end = entry["data_offsets"]
    file.seek(start + first)
    data = np.fromfile(file, np.uint8, end - first)
    if data.size < end - first:
        raise ValueError("an end before the end of an array")
    return data.view(dtype).reshape(entry["shape"])
