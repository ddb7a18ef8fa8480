"""Changes to an HDF5 file: its datasets, how they are stored, and where links lead."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from conformance.hostile import edges
from conformance.hostile.route import changed_json

__all__ = ["FOREIGN", "change_hdf5", "write_foreign"]

FOREIGN = 4242.0
"""The value of every element of a file that links of a changed one lead to."""

_DTYPES = (
    *(
        "float16",
        "float64",
        "int8",
        "int64",
        "uint64",
        "bool",
        "complex64",
        "S10",
        "V8",
        "S0",
        ">f4",
    ),
    np.dtype([("a", "f4"), ("b", "i8")]),
    np.dtype(("f4", (3,))),
    h5py.string_dtype(),
    h5py.vlen_dtype(np.dtype("float32")),
    h5py.ref_dtype,
    h5py.enum_dtype({"A": 0, "B": 1}, basetype="i4"),
)
_LONGEST = 1 << 16
_SENSELESS = (AttributeError, KeyError, RuntimeError, TypeError, ValueError, OSError, OverflowError)
_SHAPES = (
    (),
    (0,),
    (1,),
    (4, 3, 1),
    (3, 4),
    (2**28,),
    (2**14, 2**14),
    (2**40, 2**20),
    (1,) * 32,
    (4, 2**31),
)


def write_foreign(path: Path) -> None:
    """Writes the file that no load may read."""
    with h5py.File(path, "w") as file:
        for name in ("kernel", "bias", "data"):
            file[name] = np.full((4, 3), FOREIGN, np.float32)


def change_hdf5(target: Path, foreign: Path, rng: random.Random) -> None:
    """Changes a file in its place, one to three times.

    Args:
        target: The file.
        foreign: What `write_foreign` wrote.
        rng: Chooses the changes.
    """
    with h5py.File(target, "r+") as file:
        for _ in range(rng.randint(1, 3)):
            names: list[str] = []
            file.visit(names.append)
            if names:
                # Some changes make no sense where they fall, such as a filter for a scalar.
                with contextlib.suppress(*_SENSELESS):
                    rng.choice(_CHANGES)(file, rng.choice(names), foreign, rng)


def _replace(file: h5py.File, name: str, foreign: Path, rng: random.Random) -> None:
    """Another shape, dtype or way of storing, with nothing written into it."""
    old = file[name]
    shape = (
        old.shape if isinstance(old, h5py.Dataset) and rng.random() < 0.5 else rng.choice(_SHAPES)
    )
    dtype = (
        old.dtype if isinstance(old, h5py.Dataset) and rng.random() < 0.5 else rng.choice(_DTYPES)
    )
    packed = rng.choice(["gzip", "lzf", None]) if shape and 0 not in shape else None
    del file[name]
    chunks = tuple(min(size, 2**12) for size in shape) if packed else None
    file.create_dataset(name, shape, dtype, compression=packed, chunks=chunks)


def _bomb(file: h5py.File, name: str, foreign: Path, rng: random.Random) -> None:
    """Millions of zeros in a few bytes."""
    del file[name]
    file.create_dataset(
        name, data=np.zeros(1 << 24, np.float32), compression="gzip", chunks=(1 << 20,)
    )


def _record(file: h5py.File, name: str, foreign: Path, rng: random.Random) -> None:
    """The JSON text of what a layer was built for."""
    records: list[str] = []
    file.visit(lambda each: records.append(each) if each.endswith("%inputs") else None)
    place = rng.choice(records or [name])
    if file[place].size < _LONGEST:
        text = bytes(file[place][()]).decode()
        del file[place]
        file[place] = np.frombuffer(changed_json(text, rng).encode(), np.uint8)


def _delete(file: h5py.File, name: str, foreign: Path, rng: random.Random) -> None:
    del file[name]


def _rename(file: h5py.File, name: str, foreign: Path, rng: random.Random) -> None:
    parent = name.rpartition("/")[0]
    key = rng.choice(
        ["%inputs", "%own.0", "%own.x", "0", "params.kernel", "vars", *edges.TEXTS, *edges.NAMES]
    )
    file.move(name, f"{parent}/{key[:5_000]}")


def _copy(file: h5py.File, name: str, foreign: Path, rng: random.Random) -> None:
    names: list[str] = []
    file.visit(names.append)
    other = rng.choice(names)
    if name != other:
        del file[other]
    file.copy(name, f"{other}x" if name == other else other)


def _group(file: h5py.File, name: str, foreign: Path, rng: random.Random) -> None:
    """A group where a dataset was, or a dataset for a group, or very many."""
    was_group = isinstance(file[name], h5py.Group)
    if rng.random() < 0.3:
        parent = file[name] if was_group else file[name].parent
        for number in range(rng.choice([3, 2_000])):
            parent[f"extra{number}"] = np.zeros(2, np.float32)
        return
    del file[name]
    file[name] = np.zeros(3, np.float32) if was_group else np.float32(1)
    if not was_group:
        del file[name]
        file.create_group(name)


def _link(file: h5py.File, name: str, foreign: Path, rng: random.Random) -> None:
    """A link to another place, another file, nothing, or itself."""
    names: list[str] = ["/"]
    file.visit(names.append)
    other = rng.choice(names)
    kind = rng.randrange(4)
    if kind == 0 and name != other:
        held = file[other]
        del file[name]
        file[name] = held
        return
    del file[name]
    soft = h5py.SoftLink(rng.choice([other, name, "/nothing", "/" + "../" * 5]))
    outside = h5py.ExternalLink(str(foreign), rng.choice(["/kernel", "/bias", "/"]))
    file[name] = soft if kind == 1 else outside


def _outside(file: h5py.File, name: str, foreign: Path, rng: random.Random) -> None:
    """A dataset whose bytes stand in another file."""
    shape = getattr(file[name], "shape", (3,))
    del file[name]
    if rng.random() < 0.5:
        layout = h5py.VirtualLayout(shape=shape, dtype="float32")
        layout[...] = h5py.VirtualSource(str(foreign), rng.choice(["kernel", "bias"]), shape=shape)
        file.create_virtual_dataset(name, layout)
    else:
        size = 4 * int(np.prod(shape, dtype=np.int64))
        file.create_dataset(name, shape, "float32", external=[(str(foreign), 2048, size)])


def _attribute(file: h5py.File, name: str, foreign: Path, rng: random.Random) -> None:
    node = rng.choice([file, file[name]])
    key = rng.choice([*node.attrs, "dtype", "shape", "vars", "keras_version"])
    values: list[Any] = [
        "bfloat16",
        "object",
        "float99",
        "",
        7,
        -1.5,
        np.zeros(3),
        "x" * 5_000,
        h5py.Empty("f4"),
    ]
    node.attrs[key] = rng.choice(values)


def _empty(file: h5py.File, name: str, foreign: Path, rng: random.Random) -> None:
    dtype = getattr(file[name], "dtype", np.dtype("float32"))
    del file[name]
    file.create_dataset(name, data=h5py.Empty(dtype))


_CHANGES = (
    *(_replace, _replace, _replace, _record, _record, _delete, _rename, _copy, _group),
    *(_link, _outside, _attribute, _empty, _bomb),
)
