"""Archives of Keras, copied within bounds (S3)."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from flaxlayer.saving.fields import count_values
from flaxlayer_core import DecodeModuleError, explain

__all__ = ["copy_archive"]

_CONFIG = "config.json"
# Not `model.weights.npz`, which Keras writes nowhere by itself, and unpickles before 3.9 (S2).
_WEIGHTS = "model.weights.h5"
_OTHERS = frozenset({"metadata.json"})
_ASSETS = "assets"
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED = 1
_MAX_ASSETS, _LONGEST_NAME = 10_000, 1024
_CONFIG_BYTES, _CONFIG_VALUES, _FEW_VALUES = 64 << 20, 1 << 21, 1 << 20
_EXPANSION, _SMALL = 100, 4 << 20
_BLOCK = 1 << 20


def copy_archive(source: Path, target: Path, edit: Callable[[bytes], bytes]) -> None:
    """Copies what Keras reads of a `.keras` file; the copy is not compressed.

    Args:
        source: The file.
        target: Where the copy goes.
        edit: Returns the configuration of the copy for that of the file.

    Raises:
        DecodeModuleError: If it is no such file, or unpacks to far more than its size.
    """
    try:
        with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
            unpacking = _Unpacking(old, source)
            for entry in unpacking.entries():
                if entry.filename == _CONFIG:
                    new.writestr(_CONFIG, edit(unpacking.config(entry)))
                else:
                    with new.open(entry.filename, "w", force_zip64=True) as place:
                        for block in unpacking.blocks(entry):
                            place.write(block)
    except DecodeModuleError:
        raise
    except Exception as error:  # the readers of zip and JSON raise what the bytes lead them to
        raise _refuse(source, explain(error)) from error


class _Unpacking:
    """What may still be unpacked of an archive; what it says of its sizes is not believed."""

    def __init__(self, archive: zipfile.ZipFile, source: Path) -> None:
        self._archive, self._source = archive, source
        self._left = self._bound = _SMALL + _EXPANSION * os.path.getsize(source)

    def entries(self) -> list[zipfile.ZipInfo]:
        """Returns the entries that Keras writes; others are left alone."""
        known = {_CONFIG, _WEIGHTS} | _OTHERS
        listed = self._archive.infolist()
        chosen = [e for e in listed if e.filename in known or _is_asset(e.filename)]
        names = {entry.filename for entry in listed}
        if len(names) < len(listed):
            raise _refuse(self._source, "several entries of one name")
        if not {_CONFIG, _WEIGHTS} <= names:
            raise _refuse(self._source, f"no {_CONFIG}, or no {_WEIGHTS}")
        if len(chosen) > _MAX_ASSETS:
            raise _refuse(self._source, f"{len(chosen):,} entries")
        for entry in chosen:
            if entry.compress_type not in _METHODS or entry.flag_bits & _ENCRYPTED:
                raise _refuse(self._source, f"{entry.filename}, encrypted or not compressed by zip")
        size = sum(entry.file_size for entry in chosen)
        if size > self._bound:
            largest = max(chosen, key=lambda entry: entry.file_size)
            found = f"{largest.filename} of {largest.file_size:,} bytes, {size:,} in all"
            raise _refuse(self._source, found)
        return chosen

    def blocks(self, entry: zipfile.ZipInfo) -> Iterator[bytes]:
        """Yields what an entry holds."""
        with self._archive.open(entry) as content:
            while block := content.read(_BLOCK):
                self._left -= len(block)
                if self._left < 0:
                    raise _refuse(
                        self._source, f"entries that unpack to over {self._bound:,} bytes"
                    )
                yield block

    def config(self, entry: zipfile.ZipInfo) -> bytes:
        """Returns the configuration, if it is of a size that can be parsed."""
        if entry.file_size > _CONFIG_BYTES:
            raise _refuse(self._source, f"{_CONFIG} of {entry.file_size:,} bytes")
        content = b"".join(self.blocks(entry))
        values = count_values(content)
        if values > min(_CONFIG_VALUES, _FEW_VALUES + entry.compress_size):
            raise _refuse(self._source, f"{_CONFIG} of {values:,} values")
        return content


def _is_asset(name: str) -> bool:
    first, *others = name.split("/")
    return (
        first == _ASSETS
        and len(name) <= _LONGEST_NAME
        and bool(others)
        and not {"", ".", ".."}.intersection(others)
        and not any(char in name for char in "\\:\0")
    )


def _refuse(source: Path, found: str) -> DecodeModuleError:
    return DecodeModuleError(
        f"Cannot open {str(source)!r} as a Keras model.",
        expected="a .keras file that model.save wrote",
        found=found[:300],
        fix="Save the model again; for weights alone use model.load_weights.",
        law="S3",
    )
