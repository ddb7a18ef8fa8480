"""Changes to checkpoints of other programs: msgpack, safetensors, Orbax."""

from __future__ import annotations

import json
import random
import shutil
import struct
from pathlib import Path
from typing import Any

import msgpack

from conformance.hostile import edges
from conformance.hostile.byte_changes import change_bytes
from conformance.hostile.route import changed_json
from conformance.hostile.tree_changes import change_tree

__all__ = ["change_msgpack", "change_orbax", "change_safetensors"]

_DTYPES = (
    "float32",
    "bfloat16",
    "float64",
    "object",
    "O",
    "V8",
    "U8",
    "f4,O",
    "(2,3)f4",
    "datetime64",
    "",
    "x" * 5_000,
)
_SIZES = (0, 1, 2, 3, 4, -1, 2**20, 2**31, 2**40, 2**62)
_BOMBS = (
    b"\x81\xa1a" * 100_000,
    b"\x91" * 100_000,
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x01",
    b"\x81\xa1a\xdd" + (1 << 20).to_bytes(4, "big") + b"\x80" * (1 << 20),
    b"\xdc\xff\xff" + b"\xc0" * 65_535,
)


def change_msgpack(source: Path, target: Path, rng: random.Random) -> None:
    """Writes a changed copy of a file of `flax.serialization`."""
    content, kind = source.read_bytes(), rng.random()
    if kind < 0.3:
        changed = change_bytes(content, rng)
    elif kind < 0.4:
        changed = rng.choice(_BOMBS)
    else:
        changed = _packed(_changed_tree(msgpack.unpackb(content, strict_map_key=False), rng))
    target.write_bytes(changed)


def _changed_tree(tree: Any, rng: random.Random) -> Any:
    """Changes arrays, then the tree around them, as JSON with the arrays by number."""
    arrays: list[Any] = []

    def number(node: Any) -> Any:
        if isinstance(node, dict):
            return {str(key): number(value) for key, value in node.items()}
        arrays.append(_changed_array(node, rng) if rng.random() < 0.3 else node)
        return f"array {len(arrays) - 1}"

    def back(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: back(value) for key, value in node.items()}
        if isinstance(node, list):
            return [back(item) for item in node]
        known = isinstance(node, str) and node.startswith("array ")
        return arrays[int(node.split()[1])] if known else node

    numbered = number(tree)
    return back(change_tree(numbered, rng) if rng.random() < 0.6 else numbered)


def _changed_array(node: Any, rng: random.Random) -> Any:
    if not isinstance(node, msgpack.ExtType):
        return node
    if rng.random() < 0.2:
        return msgpack.ExtType(rng.choice([1, 2, 3, 5, 127]), change_bytes(node.data, rng))
    if rng.random() < 0.2:
        sizes = [rng.choice(_SIZES) for _ in range(rng.randint(0, 3))]
        return {"__msgpack_chunked_array__": True, "shape": sizes, "chunks": {"0": node}}
    shape, dtype, data = msgpack.unpackb(node.data)
    where = rng.randrange(3)
    if where == 0:
        shape = rng.choice(
            [[rng.choice(_SIZES) for _ in range(rng.choice([1, 2, 40]))], 7, None, {}, "ab"]
        )
    elif where == 1:
        dtype = rng.choice([*_DTYPES, [["a", "f4"], ["b", "O"]], 7, None])
    else:
        data = rng.choice([data[:-1], data * 2, b"", 7, None, "text"])
    return msgpack.ExtType(node.code, msgpack.packb([shape, dtype, data]))


def _packed(tree: Any) -> bytes:
    try:
        packed: bytes = msgpack.packb(tree)
    except (ValueError, OverflowError, TypeError, UnicodeEncodeError):
        return b"\x81\xa6params\xc0"  # of what msgpack cannot hold
    return packed


def change_safetensors(source: Path, target: Path, rng: random.Random) -> None:
    """Writes a changed copy of a safetensors file: a length, a JSON header, and bytes."""
    content = source.read_bytes()
    if rng.random() < 0.2:
        target.write_bytes(change_bytes(content, rng))
        return
    size = struct.unpack("<Q", content[:8])[0]
    header, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    for entry in header.values():
        if rng.random() < 0.3 and "dtype" in entry:
            _change_entry(entry, rng)
    text = changed_json(json.dumps(header), rng) if rng.random() < 0.6 else json.dumps(header)
    length = rng.choice(
        [len(text), len(text), len(text), 0, 2**31, 2**63, 2**64 - 1, len(text) + 1]
    )
    target.write_bytes(struct.pack("<Q", length) + text.encode() + data)


def _change_entry(entry: dict[str, Any], rng: random.Random) -> None:
    kind = rng.randrange(3)
    if kind == 0:
        entry["dtype"] = rng.choice(
            ["F64", "BF16", "F8_E4M3", "F8_E8M0", "F4", "I64", "BOOL", "C64", "X", 7]
        )
    elif kind == 1:
        entry["shape"] = [rng.choice(_SIZES) for _ in range(rng.choice([0, 1, 2, 3, 70]))]
    else:
        entry["data_offsets"] = [
            rng.choice([0, 4, 12, 48, 2**40]),
            rng.choice([0, 12, 48, 60, 2**40]),
        ]


def change_orbax(source: Path, target: Path, rng: random.Random) -> None:
    """Writes a changed copy of a directory of Orbax."""
    shutil.copytree(source, target)
    for _ in range(rng.randint(1, 2)):
        files = sorted(
            path for path in target.rglob("*") if path.is_file() and not path.is_symlink()
        )
        if files:
            _change_file(rng.choice(files), rng)


def _change_file(path: Path, rng: random.Random) -> None:
    content, kind = path.read_bytes(), rng.random()
    if kind < 0.15:
        path.unlink()
        rng.choice([path.mkdir, lambda: path.symlink_to("/etc/passwd"), lambda: None])()
    elif content[:1] == b"{" and kind < 0.9:
        text = content.decode(errors="replace")
        path.write_text(changed_json(text, rng, _sized_tree), encoding="utf-8")
    else:
        path.write_bytes(change_bytes(content, rng))


def _sized_tree(tree: Any, rng: random.Random) -> Any:
    """Changes a description of an array, or of the tree: often only a size in it."""
    for name in ("shape", "chunks", "dtype"):
        if name in tree and rng.random() < 0.4:
            sizes = (
                [rng.choice(_SIZES) for _ in tree["shape"]]
                if isinstance(tree.get("shape"), list)
                else [1]
            )
            tree[name] = rng.choice([*_DTYPES, *edges.NUMBERS[:9]]) if name == "dtype" else sizes
            return tree
    return change_tree(tree, rng)
