"""What `load_reference_model` unpacks of an archive is bounded in all (S3, S6)."""

import json
import struct
import warnings
import zipfile

import keras
import pytest

from flaxlayer import load_reference_model
from flaxlayer_core import DecodeModuleError

LOAD = """
import json, pathlib, resource, sys
import jax
from flaxlayer import load_reference_model

folder, said = pathlib.Path(sys.argv[1]), {}
jax.devices()  # its threads
guard(300)
resource.setrlimit(resource.RLIMIT_FSIZE, (96 << 20, 96 << 20))
for path in folder.iterdir():
    said[path.stem] = outcome(load_reference_model, path)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """What an honest archive holds, by name."""
    path = tmp_path_factory.mktemp("honest") / "model.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(path)
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def write(path, parts, *more, method=zipfile.ZIP_DEFLATED):
    """Writes an archive of parts, and of further entries of `(name, content)`."""
    with zipfile.ZipFile(path, "w", method) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of names that are there twice
        for name, content in [*parts.items(), *more]:
            with file.open(name, "w") as entry:
                for block in [content] if isinstance(content, bytes) else content:
                    entry.write(block)
    return path


def zeros(mebibytes):
    return (bytes(1 << 20) for _ in range(mebibytes))


def with_config(parts, content):
    return {**parts, "config.json": content}


def understating(path, parts):
    # The central directory says ten bytes; what is there inflates to 64 MiB.
    write(path, {**parts, "model.weights.h5": zeros(64)})
    data = bytearray(path.read_bytes())
    title = data.rindex(b"model.weights.h5") - 46
    assert data[title : title + 4] == b"PK\1\2"
    data[title + 24 : title + 28] = struct.pack("<I", 10)
    path.write_bytes(data)


def encrypted(path, parts):
    write(path, parts)
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(mark) + offset] |= 1
    path.write_bytes(data)


def overlapping(path, parts):
    # Every entry of the directory is the same 8 MiB of the file, the way a bomb without nesting is.
    write(path, parts, ("assets/0", zeros(8)))
    data = path.read_bytes()
    end = data.rindex(b"PK\5\6")
    start = struct.unpack("<I", data[end + 16 : end + 20])[0]
    last = data.rindex(b"PK\1\2", start, end)
    record = data[last:end]
    more = b"".join(record.replace(b"assets/0", b"assets/%c" % (65 + i)) for i in range(50))
    counts = struct.unpack("<HH", data[end + 8 : end + 12])
    sizes = struct.unpack("<I", data[end + 12 : end + 16])
    tail = data[end : end + 8] + struct.pack("<HH", *(c + 50 for c in counts))
    tail += struct.pack("<I", sizes[0] + len(more)) + data[end + 16 :]
    path.write_bytes(data[:end] + more + tail)


HOSTILE = {
    "one large": (lambda p, a: write(p, {**a, "model.weights.h5": zeros(80)}), "in all"),
    "many": (
        lambda p, a: write(p, a, *((f"assets/{i}", zeros(63)) for i in range(24))),
        "in all",
    ),
    "empty lists": (
        lambda p, a: write(p, with_config(a, b"[" + b"[]," * (1 << 20) + b"[]]")),
        "config.json of",
    ),
    "large config": (
        lambda p, a: write(p, with_config(a, b'"' + b"x" * (65 << 20) + b'"')),
        "in all",
    ),
    "deep": (
        lambda p, a: write(p, with_config(a, b"[" * 500_000 + b"]" * 500_000)),
        "RecursionError",
    ),
    "huge integer": (lambda p, a: write(p, with_config(a, b"9" * 10_000)), "ValueError"),
    "a list": (lambda p, a: write(p, with_config(a, b"[]")), "of no model"),
    "a number": (lambda p, a: write(p, with_config(a, b"7")), "of no model"),
    "an empty object": (lambda p, a: write(p, with_config(a, b"{}")), "of no model"),
    "no JSON": (lambda p, a: write(p, with_config(a, b"{")), "JSONDecodeError"),
    "no text": (lambda p, a: write(p, with_config(a, b"\xff")), "UnicodeDecodeError"),
    "no config": (lambda p, a: write(p, {"metadata.json": b"{}"}), "no config.json"),
    "no weights": (
        lambda p, a: write(p, {n: c for n, c in a.items() if "weights" not in n}),
        "no model.weights.h5",
    ),
    "twice": (lambda p, a: write(p, a, ("model.weights.h5", b"x")), "several entries of one name"),
    "bzip2": (
        lambda p, a: write(p, {**a, "model.weights.h5": zeros(600)}, method=zipfile.ZIP_BZIP2),
        "not compressed by zip",
    ),
    "lzma": (lambda p, a: write(p, a, method=zipfile.ZIP_LZMA), "not compressed by zip"),
    "many assets": (
        lambda p, a: write(p, a, *((f"assets/{i}", b"") for i in range(10_001))),
        "10,004 entries",
    ),
    "understating": (understating, "BadZipFile"),
    "encrypted": (encrypted, "encrypted or not compressed"),
    "overlapping": (overlapping, ""),
}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory, run_guarded, parts):
    """What a process with little memory and disk says of each archive."""
    folder = tmp_path_factory.mktemp("archives")
    for name, (make, _) in HOSTILE.items():
        path = folder / f"{name}.keras"
        make(path, parts)
        assert path.stat().st_size < 3 << 20
    return json.loads(run_guarded(LOAD, folder))


@pytest.mark.slow
@pytest.mark.law("S3")
@pytest.mark.parametrize("name", HOSTILE)
def test_an_archive_that_unpacks_to_far_more_than_its_size_is_refused(name, refusals):
    assert HOSTILE[name][1] in refusals[name]
    assert "Law: S3" in refusals[name]
    assert len(refusals[name]) < 1000


@pytest.fixture
def reading(monkeypatch):
    """The names that are read of archives."""
    read, real = [], zipfile.ZipFile.open

    def open_entry(archive, name, mode="r", **kwargs):
        if mode == "r":
            read.append(getattr(name, "filename", name))
        return real(archive, name, mode, **kwargs)

    monkeypatch.setattr(zipfile.ZipFile, "open", open_entry)
    return read


@pytest.mark.law("S3")
@pytest.mark.parametrize(
    "name",
    ["other", "../config.json", "/etc/x", "assets/../../x", "assets//x", "assets/", "assets/a\\b"],
)
def test_an_entry_that_keras_does_not_write_is_left_alone(name, parts, tmp_path, reading):
    path = write(tmp_path / "m.keras", parts, (name, b"x"))
    assert load_reference_model(path).output_shape == (None, 2)
    assert name not in reading


@pytest.mark.law("S3")
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_that_was_packed_again_opens(method, parts, tmp_path, same_bits):
    write(tmp_path / "m.keras", parts, ("assets/layer/words.txt", b"a\nb"), method=method)
    model = load_reference_model(tmp_path / "m.keras")
    write(tmp_path / "plain.keras", parts)
    expected = keras.models.load_model(tmp_path / "plain.keras")
    same_bits(model.get_weights(), expected.get_weights())


@pytest.mark.law("S3")
def test_weights_of_zeros_may_be_packed_tightly(tmp_path, same_bits):
    layer = keras.layers.Dense(4096, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((256,)), layer])
    model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as file:
        held = {name: file.read(name) for name in file.namelist()}
    packed = write(tmp_path / "packed.keras", held)
    assert packed.stat().st_size < 1 << 16
    same_bits(load_reference_model(packed).get_weights(), model.get_weights())


@pytest.mark.law("S3")
def test_a_file_that_is_refused_leaves_no_copy(parts, tmp_path, monkeypatch):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    path = write(tmp_path / "m.keras", with_config(parts, b"{"))
    with pytest.raises(DecodeModuleError):
        load_reference_model(path)
    assert list((tmp_path / "scratch").iterdir()) == []
