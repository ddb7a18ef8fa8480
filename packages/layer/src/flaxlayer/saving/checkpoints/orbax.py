"""Reads what Orbax wrote: first what it says of its arrays, then those that are wanted (S3)."""

from __future__ import annotations

import itertools
import json
import math
import os
import stat
from pathlib import Path
from typing import Any

import jax
import numpy as np

from flaxlayer.saving.checkpoints.array_trees import MAX_DEPTH
from flaxlayer.saving.checkpoints.checkpoint_format import (
    Check,
    CheckpointFormat,
    Choose,
    Fit,
    NotOfFormatError,
)
from flaxlayer.typing import PyTree
from flaxlayer_core import count_bytes

__all__ = ["FORMAT", "read_orbax"]

_METADATA = "_METADATA"
_METADATA_BYTES, _MAX_ARRAYS, _MAX_CHUNKS = 64 << 20, 1 << 18, 1 << 16
_EXPANSION, _SMALL = 100, 64 << 20


def read_orbax(path: Path, choose: Choose, check: Check | None = None) -> dict[str, PyTree]:
    """Reads a checkpoint of Orbax.

    Args:
        path: The directory of one item.
        choose: Returns what is wanted of the tree; the rest is not read.
        check: Raises an error where shapes and dtypes of what is wanted do not fit. Without it a
            checkpoint may hold so much as is in proportion to its size.

    Returns:
        What is wanted, with NumPy arrays; with arrays of JAX where `check` finds them divided, of
        which each process reads its own shards.

    Raises:
        ImportError: If Orbax is not installed.
        ValueError: If the checkpoint is refused.
        Exception: What Orbax raises of a damaged one.
    """
    import orbax.checkpoint as ocp

    disk = _size_on_disk(path)
    _check_names(path / _METADATA)
    with ocp.Checkpointer(_handler(ocp)) as checkpointer:
        stored = checkpointer.metadata(path).item_metadata.tree
        wanted = choose(stored)
        specs = jax.tree_util.tree_map(_spec, wanted)
        fit = Fit() if check is None else check(specs)
        _check_sizes(disk, specs, fit.bytes)
        pairs = zip(*map(jax.tree_util.tree_leaves, (wanted, specs)), strict=True)
        shardings = {id(leaf): fit.sharding(spec) for leaf, spec in pairs}
        item = jax.tree_util.tree_map(
            lambda leaf: leaf if id(leaf) in shardings else ocp.PLACEHOLDER, stored
        )

        def how(leaf: Any) -> Any:
            sharding = shardings.get(id(leaf))
            if sharding is None:
                # NumPy arrays: the devices of the process that saved are not those of this one.
                return ocp.RestoreArgs(restore_type=np.ndarray)
            return ocp.ArrayRestoreArgs(restore_type=jax.Array, sharding=sharding)

        args = jax.tree_util.tree_map(how, item)
        restore = ocp.args.PyTreeRestore(item=item, restore_args=args)
    with ocp.Checkpointer(_handler(ocp, divided=bool(fit.shardings))) as checkpointer:
        return choose(checkpointer.restore(path, args=restore))


def _read(path: Path, choose: Choose, check: Check | None) -> dict[str, PyTree]:
    if not (path / _METADATA).is_file():
        names = sorted(entry.name for entry in itertools.islice(path.iterdir(), 100))
        raise NotOfFormatError(
            "a checkpoint directory of Orbax, such as <manager>/<step>/default",
            ", ".join(names[:8]) or "an empty directory",
        )
    return read_orbax(path.resolve(), choose, check)


FORMAT = CheckpointFormat(
    writer="Orbax",
    contents="a complete checkpoint of Orbax",
    extra="orbax",
    claims=Path.is_dir,
    read=_read,
)


def _handler(ocp: Any, *, divided: bool = False) -> Any:
    # Of what a checkpoint calls a scalar, or an array of JAX, Orbax would not tell the true shape.
    def arrays(name: str) -> Any:
        handler = ocp.type_handlers.NumpyHandler()
        handler.typestr = lambda: name
        return handler

    of_jax = ocp.type_handlers.ArrayHandler() if divided else arrays("jax.Array")
    registry = ocp.type_handlers.create_type_handler_registry(
        (np.ndarray, arrays("np.ndarray")),
        (jax.Array, of_jax),
        (int, arrays("scalar")),
        (str, ocp.type_handlers.StringHandler()),
    )
    return ocp.PyTreeCheckpointHandler(type_handler_registry=registry)


def _check_names(metadata: Path) -> None:
    size = metadata.stat().st_size
    if size > _METADATA_BYTES:
        raise ValueError(f"{_METADATA} of {size:,} bytes")
    entries = json.loads(metadata.read_bytes())["tree_metadata"]
    if len(entries) > _MAX_ARRAYS:
        raise ValueError(f"{len(entries):,} arrays")
    for entry in entries.values():
        keys = [str(part["key"]) for part in entry["key_metadata"]]
        if len(keys) > MAX_DEPTH:
            raise ValueError(f"an array {len(keys):,} names deep")
        # S3: Orbax makes a path of the names.
        if any(".." in key.split("/") or key.startswith("/") for key in keys):
            raise ValueError(f"the name {'/'.join(keys)[:200]!r}, which is a path")


def _spec(stored: Any) -> jax.ShapeDtypeStruct:
    if not isinstance(getattr(stored, "dtype", None), np.dtype):
        raise ValueError(f"{str(stored.name)[:200]!r}, which is no array")
    spec = jax.ShapeDtypeStruct(stored.shape, stored.dtype)
    chunk = getattr(stored.storage, "chunk_shape", None) or spec.shape
    count = math.prod(-(-dim // max(1, size)) for dim, size in zip(spec.shape, chunk, strict=True))
    size = math.prod(chunk) * spec.dtype.itemsize
    if size > max(_SMALL, 4 * count_bytes(spec)) or count > _MAX_CHUNKS:
        raise ValueError(f"{count:,} chunks of {size:,} bytes")
    return spec


def _size_on_disk(path: Path) -> int:
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            known = os.stat(os.path.join(folder, name))
            if not stat.S_ISREG(known.st_mode):  # one would wait for a pipe
                raise ValueError(f"{name[:200]!r}, which is no file")
            total += known.st_size
    return total


def _check_sizes(disk: int, wanted: PyTree, known: int) -> None:
    bound = known + _SMALL + _EXPANSION * disk
    total = sum(map(count_bytes, jax.tree_util.tree_leaves(wanted)))
    if total > bound:
        raise ValueError(f"{total:,} bytes of arrays in {disk:,} bytes of files")
