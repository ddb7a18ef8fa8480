"""Changes to a `.keras` archive, or the folder that stands for one: parts and packing."""

from __future__ import annotations

import random
import shutil
import zipfile
from pathlib import Path

from conformance.hostile.byte_changes import change_bytes
from conformance.hostile.configurations import change_model
from conformance.hostile.hdf5_changes import change_hdf5
from conformance.hostile.route import changed_json

__all__ = ["change_archive", "change_folder", "change_weights_file"]

_CONFIG, _WEIGHTS, _METADATA = "config.json", "model.weights.h5", "metadata.json"
_PARTS, _WEIGHTED = (_CONFIG, _WEIGHTS, _METADATA), (6, 4, 1)


def change_archive(source: Path, target: Path, rng: random.Random) -> None:
    """Writes a changed copy of a `.keras` file."""
    if rng.random() < 0.08:
        target.write_bytes(change_bytes(source.read_bytes(), rng))
        return
    folder = target.with_suffix(".parts")
    with zipfile.ZipFile(source) as old:
        old.extractall(folder)
    if rng.random() < 0.8:
        _change_part(folder, target.parent.parent / "foreign.h5", rng)
    _pack(folder, target, rng)
    shutil.rmtree(folder)


def change_folder(source: Path, target: Path, rng: random.Random) -> None:
    """Writes a changed copy of a model that was saved as a folder."""
    shutil.copytree(source, target)
    _change_part(target, target.parent.parent / "foreign.h5", rng)
    part = target / rng.choice(_PARTS)
    if rng.random() < 0.2:
        part.unlink()
        rng.choice([part.mkdir, lambda: part.symlink_to("/etc/passwd"), lambda: None])()


def change_weights_file(source: Path, target: Path, rng: random.Random) -> None:
    """Writes a changed copy of a `.weights.h5` file."""
    shutil.copyfile(source, target)
    _change_weights(target, target.parent.parent / "foreign.h5", rng)


def _change_weights(part: Path, foreign: Path, rng: random.Random) -> None:
    if rng.random() < 0.1:
        part.write_bytes(change_bytes(part.read_bytes(), rng))
    else:
        change_hdf5(part, foreign, rng)


def _change_part(folder: Path, foreign: Path, rng: random.Random) -> None:
    part = folder / rng.choices(_PARTS, _WEIGHTED)[0]
    if part.name == _WEIGHTS:
        _change_weights(part, foreign, rng)
    else:
        text = part.read_text(encoding="utf-8")
        changed = (
            changed_json(text, rng, change_model)
            if part.name == _CONFIG
            else changed_json(text, rng)
        )
        part.write_text(changed, encoding="utf-8")


def _pack(folder: Path, target: Path, rng: random.Random) -> None:
    """Packs the parts again, now and then in a way that no writer does."""
    odd = rng.random() < 0.3
    with zipfile.ZipFile(
        target, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    ) as new:
        for part in _PARTS:
            if not odd or rng.random() < 0.8:
                new.write(folder / part, part)
        for _ in range(rng.randint(1, 3) if odd else 0):
            rng.choice(_ODDITIES)(new, rng)


def _outside(new: zipfile.ZipFile, rng: random.Random) -> None:
    """A name that leads out of the folder that an archive is unpacked into."""
    new.writestr(
        rng.choice(["../escaped", "/tmp/escaped", "a/../../escaped", "..\\escaped", "/"]), b"x"
    )


def _link(new: zipfile.ZipFile, rng: random.Random) -> None:
    entry = zipfile.ZipInfo(rng.choice(["link", "assets", "model.weights.h5", "config.json"]))
    entry.create_system, entry.external_attr = 3, 0o120777 << 16
    new.writestr(entry, rng.choice(["/etc/passwd", "../..", "link"]))


def _bomb(new: zipfile.ZipFile, rng: random.Random) -> None:
    for number in range(rng.choice([1, 4])):
        name = rng.choice([f"assets/zeros{number}", "config.json", "metadata.json"])
        new.writestr(name, bytes(24 << 20), zipfile.ZIP_DEFLATED)


def _many(new: zipfile.ZipFile, rng: random.Random) -> None:
    for number in range(3_000):
        new.writestr(f"assets/{number}", b"")


def _twice(new: zipfile.ZipFile, rng: random.Random) -> None:
    for name in new.namelist()[:2]:
        new.writestr(name, rng.choice([b"", b"{}", b"[]", b"null"]))


def _packed_otherwise(new: zipfile.ZipFile, rng: random.Random) -> None:
    """Flags of encryption, methods that nobody has, sizes that are not so."""
    for entry in new.infolist()[:1]:
        entry.flag_bits |= rng.choice([0, 1, 8, 64])
        entry.compress_type = rng.choice([entry.compress_type, 12, 14, 99])
        entry.file_size = rng.choice([entry.file_size, 0, 2**31, 2**40])


_ODDITIES = (_outside, _link, _bomb, _many, _twice, _packed_otherwise)
