"""Values that are known without registration (S2)."""

import pytest

from flaxlayer_core.config import (
    decode_value,
    encode_value,
    world,
)
from flaxlayer_core.config.stock import STOCK


@pytest.fixture(autouse=True)
def _own_world(monkeypatch):
    monkeypatch.setattr(world, "_registered", {})
    monkeypatch.setattr(world, "_remembered", {})


def test_every_stock_value_comes_back_as_itself():
    for value in STOCK.values():
        assert decode_value(encode_value(value, path="value"), path="value") is value


def test_nothing_stock_touches_files_or_the_interpreter():
    assert all(
        name.split(":")[0].split(".")[0] in {"flax", "jax", "numpy", "ml_dtypes", "builtins"}
        for name in STOCK
    )
    assert {name for name in STOCK if name.startswith("builtins:")} == {
        "builtins:bool",
        "builtins:int",
        "builtins:float",
        "builtins:complex",
    }
    forbidden = {
        "save",
        "load",
        "savez",
        "fromfile",
        "eval",
        "exec",
        "open",
        "callback",
        "pure_callback",
        "frompyfunc",
    }
    assert {name.partition(":")[2] for name in STOCK} & forbidden == set()
