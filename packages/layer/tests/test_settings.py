"""Settings of a layer: what each may be (§11)."""

import flax.linen as nn
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_core import CallArgumentError, CollectionPolicy, DrawKeysError


class Keyed(nn.Module):
    @nn.compact
    def __call__(self, x, key=None):
        return nn.Dense(2)(x)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "a", True])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(DrawKeysError, match="0 <= seed < 2"):
        FlaxLayer(nn.Dense(3), seed=seed)


def test_an_unknown_state_updates_is_refused():
    with pytest.raises(CallArgumentError, match="always, training, never"):
        FlaxLayer(nn.Dense(3), state_updates="sometimes")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("rngs", 5, "names of streams"),
        ("rngs", ["noise", 3], "names of streams"),
        ("rngs", {"noise": 1}, "names of streams"),
        ("training_arg", 5, "the name of an argument"),
        ("mask_arg", 5, "the name of an argument"),
        ("rng_args", {"key": 3}, "names of arguments with names of streams"),
        ("state_updates", ["always"], "one of always"),
        ("return_sown", 5, "names of collections"),
        ("losses", None, "names of collections"),
        ("collections", {"cache": "state"}, "CollectionPolicy"),
        ("collections", CollectionPolicy, "CollectionPolicy"),
        ("native_serialization_platforms", [["cpu"]], "some of cpu"),
    ],
    ids=lambda value: f"{value!r:.20}",
)
def test_a_value_of_another_kind_is_refused_by_the_name_of_the_setting(name, value, expected):
    with pytest.raises(CallArgumentError, match=f"cannot use this {name}") as caught:
        FlaxLayer(nn.Dense(3), **{name: value})
    assert expected in caught.value.expected


@pytest.mark.parametrize("name", ["rngs", "return_sown", "losses"])
def test_one_name_stands_for_a_list_of_it(name):
    one = FlaxLayer(nn.Dense(3), **{name: "noise"}, name="net")
    several = FlaxLayer(nn.Dense(3), **{name: ("noise",)}, name="net")
    assert one.get_config()[name] == ["noise"]
    assert several.get_config()[name] == ["noise"]


def test_a_seed_of_numpy_is_a_seed():
    assert FlaxLayer(nn.Dense(3), seed=np.int64(3)).get_config()["seed"] == 3


def test_the_callers_names_may_change_afterwards():
    names = {"key": "noise"}
    layer = FlaxLayer(Keyed(), rng_args=names)
    names["key"] = "other"
    assert layer.get_config()["rng_args"] == {"key": "noise"}
