"""The arrays of a weights file are looked at before they are read, and then one at a time (S3)."""

import json
import zlib

import flax.linen as nn
import h5py
import jax
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_core import MatchWeightsFileError

GROUP = "layers/flax_layer/vars"
GZIP = {"compression": "gzip", "shuffle": True}

LOAD = """
import json, pathlib, sys
import flax.linen as nn, keras
from flaxlayer import FlaxLayer

model = keras.Sequential([keras.Input((4,)), FlaxLayer(nn.Dense(300))])
before, said = model.get_weights(), {}
guard(200)
for path in pathlib.Path(sys.argv[1]).iterdir():
    try:
        model.load_weights(path)
    except ValueError as error:
        said[path.name.partition(".")[0]] = str(error)[:4000]
    assert all((a == b).all() for a, b in zip(before, model.get_weights()))
print(json.dumps(said))
"""


def model_of(*layers):
    return keras.Sequential([keras.Input((4,)), *layers])


def dense():
    return FlaxLayer(nn.Dense(300))


def write(path, edit):
    """Writes weights of `dense`, changed by `edit(group)`."""
    model_of(dense()).save_weights(path)
    with h5py.File(path, "a") as file:
        edit(file[GROUP])
    return path


def replaced(key, **options):
    """An edit that puts a dataset in the place of another one."""

    def edit(group):
        del group[key]
        group.create_dataset(key, **options)

    return edit


def inflating(group):
    # The chunk is said to hold 1,200 floats, and inflates to 256 MiB.
    options = {"shape": (4, 300), "dtype": "f4", "chunks": (4, 300), "compression": "gzip"}
    replaced("params.kernel", **options)(group)
    group["params.kernel"].id.write_direct_chunk((0, 0), zlib.compress(bytes(1 << 28), 9))


def inflating_twice(group):
    del group["params.kernel"]
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((4, 300))
    for _ in range(2):
        plist.set_filter(h5py.h5z.FILTER_DEFLATE, 0, (9,))
    space = h5py.h5s.create_simple((4, 300))
    made = h5py.h5d.create(group.id, b"params.kernel", h5py.h5t.IEEE_F32LE, space, plist)
    made.write_direct_chunk((0, 0), zlib.compress(zlib.compress(bytes(1 << 28), 9), 9))


def of_large_chunks(group):
    options = {"shape": (300,), "dtype": "f4", "maxshape": (None,), "chunks": (1 << 26,)}
    replaced("params.bias", compression="gzip", **options)(group)
    group["params.bias"][:] = 1.0


BOMBS = {
    "shape": (
        replaced("params.kernel", shape=(1 << 29,), dtype="f4", chunks=True, **GZIP),
        "params.kernel has shape [536870912], not [4, 300]",
    ),
    "stored shape": (
        replaced("params.kernel", data=np.broadcast_to(np.int8(0), (1 << 28,)), **GZIP),
        "params.kernel has shape [268435456], not [4, 300]",
    ),
    "record": (
        replaced("%inputs", shape=(1 << 31,), dtype="u1", chunks=True, **GZIP),
        "%inputs is uint8[2147483648]",
    ),
    "packed record": (
        replaced("%inputs", data=np.broadcast_to(np.uint8(91), (1 << 24,)), **GZIP),
        "%inputs is uint8[16777216]",
    ),
    "inflating": (inflating, "params.kernel cannot be read: a chunk of 4,800 bytes"),
    "inflating twice": (inflating_twice, "through other filters"),
    "large chunks": (of_large_chunks, "in 1 chunks of 268,435,456"),
}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory, run_guarded):
    """What a process with little memory to spare says of each bomb."""
    folder = tmp_path_factory.mktemp("bombs")
    for name, (edit, _) in BOMBS.items():
        path = write(folder / f"{name}.weights.h5", edit)
        assert path.stat().st_size < 2 << 20
    return json.loads(run_guarded(LOAD, folder))


@pytest.mark.slow
@pytest.mark.law("S3")
@pytest.mark.parametrize("name", BOMBS)
def test_an_array_that_does_not_fit_costs_no_memory(name, refusals):
    assert BOMBS[name][1] in refusals[name]
    assert "Law: " in refusals[name]


def soft(group):
    group["elsewhere"] = group["params.bias"][:]
    del group["params.bias"]
    group["params.bias"] = h5py.SoftLink(f"/{GROUP}/elsewhere")


def virtual(group):
    layout = h5py.VirtualLayout((300,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (300,))
    del group["params.bias"]
    group.create_virtual_dataset("params.bias", layout)


def external(group):
    options = {"shape": (300,), "dtype": "f4"}
    replaced("params.bias", external=[("/etc/passwd", 0, 1200)], **options)(group)


def marked(value):
    def edit(group):
        group["params.bias"].attrs["dtype"] = value

    return edit


def references(group):
    data = np.array([group.ref] * 300, h5py.ref_dtype)
    replaced("params.bias", data=data, dtype=h5py.ref_dtype)(group)


def region(group):
    data = np.array([group["params.kernel"].regionref[:]] * 300, h5py.regionref_dtype)
    replaced("params.bias", data=data, dtype=h5py.regionref_dtype)(group)


def pipeline(*codes):
    """An edit that stores the bias through filters of some codes."""

    def edit(group):
        del group["params.bias"]
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((300,))
        for code in codes:
            plist.set_filter(code, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((300,))
        made = h5py.h5d.create(group.id, b"params.bias", h5py.h5t.IEEE_F32LE, space, plist)
        made.write_direct_chunk((0,), bytes(1200))

    return edit


def group_instead(group):
    del group["params.bias"]
    group.create_group("params.bias")


def datatype_instead(group):
    del group["params.bias"]
    group["params.bias"] = np.dtype("f8")


PAIR = np.dtype([("a", "f4"), ("b", "f4")])
ODD = {
    "soft": (soft, "SoftLink"),
    "virtual": (virtual, "not in the file"),
    "external": (external, "not in the file"),
    "references": (references, "params.bias is object"),
    "region": (region, "params.bias is object"),
    "pairs": (replaced("params.bias", data=np.zeros(300, PAIR)), "params.bias is [('a'"),
    "text": (replaced("params.bias", data=["x"] * 300), "params.bias is object"),
    "scalar": (replaced("params.bias", data=np.float32(1)), "params.bias has shape [], not [300]"),
    "empty": (replaced("params.bias", data=h5py.Empty("f4")), "not an array"),
    "no elements": (replaced("params.bias", data=np.zeros((0,), "f4")), "has shape [0]"),
    "group": (group_instead, "it is a Group"),
    "datatype": (datatype_instead, "it is a Datatype"),
    "unknown filter": (pipeline(31999), "other filters"),
    "two shuffles": (pipeline(2, 2), "other filters"),
    "shuffled last": (pipeline(1, 2), "compressed before it is shuffled"),
}


@pytest.mark.law("S3")
@pytest.mark.parametrize("name", ODD)
def test_what_is_no_plain_array_is_refused_by_name_and_changes_nothing(name, tmp_path, same_bits):
    edit, found = ODD[name]
    path = write(tmp_path / "m.weights.h5", edit)
    model = model_of(dense())
    before = model.get_weights()
    with pytest.raises(ValueError, match="Law: W3") as caught:
        model.load_weights(path)
    assert found in str(caught.value)
    same_bits(model.get_weights(), before)


@pytest.mark.law("W3")
@pytest.mark.parametrize(
    "value",
    [7, "float64", "bfloat16 ", ["bfloat16", "x"], np.zeros(4), h5py.Empty("f4")],
    ids=["number", "other", "space", "list", "array", "empty"],
)
def test_a_mark_of_a_dtype_that_keras_does_not_write_means_nothing(value, tmp_path):
    path = write(tmp_path / "m.weights.h5", marked(value))
    model = model_of(dense())
    try:
        model.load_weights(path)
    except ValueError as error:
        assert "Law: W3" in str(error)  # Keras itself cannot read such a mark
    else:
        assert (model.get_weights()[0] == 0).all()


HONEST = {
    "gzip": {"compression": "gzip"},
    "shuffled gzip": {**GZIP, "fletcher32": True},
    "lzf": {"compression": "lzf", "shuffle": True},
    "chunks": {"chunks": (2, 100)},
    "growing": {"maxshape": (None, None), "compression": "gzip"},
    "compact": {},
}


@pytest.mark.law("W3")
@pytest.mark.parametrize("name", HONEST)
def test_weights_that_another_program_compressed_are_read(name, tmp_path, same_bits):
    values = np.random.default_rng(3).normal(size=(4, 300)).astype("f4")
    values[:2] = 0.5
    edit = replaced("params.kernel", data=values, **HONEST[name])
    model = model_of(dense())
    model.load_weights(write(tmp_path / "m.weights.h5", edit))
    same_bits(model.get_weights()[1], values)


@pytest.mark.law("S3")
def test_a_damaged_array_among_good_ones_leaves_all_as_they_were(tmp_path, same_bits):
    def damage(group):
        replaced("params.kernel", data=np.ones((4, 300), "f4"), fletcher32=True)(group)
        group["params.kernel"].id.write_direct_chunk((0, 0), b"\1" * 4804)

    path = write(tmp_path / "m.weights.h5", damage)
    model = model_of(dense())
    for variable in model.weights:
        variable.assign(np.full(variable.shape, 3.0))
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"params\.kernel cannot be read"):
        model.load_weights(path)
    same_bits(model.get_weights(), before)


@pytest.mark.law("S3")
def test_a_list_of_very_many_names_makes_a_short_message():
    layer = dense()
    layer.build((None, 4))
    store = dict.fromkeys(map(str, range(100_000)), np.zeros(1)) | {"x" * 10**6: np.zeros(1)}
    with pytest.raises(MatchWeightsFileError) as caught:
        layer.load_own_variables(store)
    assert len(str(caught.value)) < 5_000
    assert "and 99,953 more" in caught.value.found


@pytest.mark.law("S3")
def test_a_name_that_cannot_be_printed_stands_in_the_message_as_an_escape(tmp_path):
    def name(group):
        group.id.links.create_hard(b"\xff\x1b[2J", group.id, b"params.bias")

    with pytest.raises(ValueError, match="Law: W3") as caught:
        model_of(dense()).load_weights(write(tmp_path / "m.weights.h5", name))
    str(caught.value).encode()
    assert "\x1b" not in str(caught.value)


@pytest.mark.law("S3")
def test_a_store_whose_names_cannot_be_read_is_refused():
    class Broken(dict):
        def keys(self):
            raise RuntimeError("object header is damaged")

    with pytest.raises(MatchWeightsFileError, match="RuntimeError: object header is damaged"):
        dense().load_own_variables(Broken())


@pytest.mark.jax_only("it counts arrays of JAX")
@pytest.mark.law("B6")
def test_a_layer_that_is_built_from_a_file_holds_little_more_than_its_variables(monkeypatch):
    class Wide(nn.Module):
        @nn.compact
        def __call__(self, x):
            for index in range(20):
                x = x + self.param(f"p{index}", nn.initializers.ones, (1000,)).sum()
            return x

    saved, store = FlaxLayer(Wide()), {}
    saved.build((None, 4))
    saved.save_own_variables(store)
    stored = {key: np.asarray(value) for key, value in store.items()}
    reads, held = [], []
    real = FlaxLayer.load_own_variables

    class Counting(dict):
        def __getitem__(self, key):
            reads.append(key)
            held.append(sum(array.nbytes for array in jax.live_arrays()) - before)
            return super().__getitem__(key)

    layer = FlaxLayer(Wide())
    before = sum(array.nbytes for array in jax.live_arrays())
    real(layer, Counting(stored))
    # With nothing but the variables that are made already, and none of them twice.
    for index, key in enumerate(reads[-20:]):
        assert held[len(reads) - 20 + index] <= 4000 * index + 100, key


@pytest.mark.law("S3")
def test_a_group_that_stands_in_another_file_is_not_read(tmp_path, same_bits):
    write(tmp_path / "m.weights.h5", lambda group: None)
    with h5py.File(tmp_path / "linked.h5", "w") as file:
        file["vars"] = h5py.ExternalLink(str(tmp_path / "m.weights.h5"), GROUP)

    class Store:
        """What Keras before 3.14 has of such a file."""

        def __init__(self, file):
            self.h5_file, self.group = file, file["vars"]
            self.keys, self.__getitem__ = self.group.keys, self.group.__getitem__

    layer = dense()
    layer.build((None, 4))
    before = layer.get_weights()
    with (
        h5py.File(tmp_path / "linked.h5") as file,
        pytest.raises(ValueError, match="another file"),
    ):
        layer.load_own_variables(Store(file))
    same_bits(layer.get_weights(), before)
