"""What Keras has of a weights file shows the groups of HDF5 behind it."""

import keras
import numpy as np
import pytest

from flaxlayer.compat import keras_stores as compat
from packages.layer.tests.needs import KERAS

X = np.ones((2, 4), np.float32)


@pytest.mark.parametrize("shards", [False, True], ids=["one file", "shards"])
def test_what_keras_has_of_a_file_shows_the_groups_of_hdf5(shards, tmp_path):
    if shards and KERAS < (3, 10):
        pytest.skip("Keras 3.10 writes shards")
    seen = []

    class Looking(keras.layers.Dense):
        def load_own_variables(self, store):
            for group in compat.h5_groups(store):
                seen.append({key: group[key].shape for key in group})
            super().load_own_variables(store)

    model = keras.Sequential([keras.Input((300,)), Looking(500)])
    if shards:
        model.save_weights(tmp_path / "m.weights.json", max_shard_size=0.00056)
        model.load_weights(tmp_path / "m.weights.json")
    else:
        model.save_weights(tmp_path / "m.weights.h5")
        model.load_weights(tmp_path / "m.weights.h5")
    found = {key: shape for group in seen for key, shape in group.items()}
    assert found == {"0": (300, 500), "1": (500,)}
    assert len(list(tmp_path.iterdir())) == (3 if shards else 1)


def test_all_places_of_a_file_share_a_part(tmp_path):
    seen = []

    class Looking(keras.layers.Dense):
        def load_own_variables(self, store):
            seen.append(compat.shared_part(store))
            super().load_own_variables(store)

    model = keras.Sequential([keras.Input((3,)), Looking(5), Looking(5)])
    model.save_weights(tmp_path / "m.weights.h5")
    model.load_weights(tmp_path / "m.weights.h5")
    model.load_weights(tmp_path / "m.weights.h5")
    assert seen[0] is seen[1] is not seen[2] is seen[3]


def test_what_is_no_file_has_no_groups_of_hdf5():
    assert list(compat.h5_groups({"a": np.ones(1)})) == []


def test_what_keras_has_of_shards_is_opened_again_where_one_is_missing(tmp_path):
    if KERAS < (3, 10):
        pytest.skip("Keras 3.10 writes shards")
    seen = []

    class Looking(keras.layers.Dense):
        def load_own_variables(self, store):
            with pytest.raises(FileNotFoundError):
                store._switch_h5_file("absent.h5", mode="r")
            seen.append(bool(store))
            compat.reopen(store)
            seen.append(bool(store))
            compat.reopen(store)
            compat.reopen({})
            super().load_own_variables(store.get(store._h5_entry_path))

    model = keras.Sequential([keras.Input((3,)), Looking(5)])
    model.save_weights(tmp_path / "m.weights.json", max_shard_size=1)
    model.load_weights(tmp_path / "m.weights.json")
    assert seen == [False, True]
