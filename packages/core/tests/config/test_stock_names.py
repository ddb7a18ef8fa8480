"""The curated names (S2)."""

import jax
import pytest

from flaxlayer_core.config import (
    stock_names,
    world,
)
from flaxlayer_core.config.stock import STOCK


@pytest.fixture(autouse=True)
def _own_world(monkeypatch):
    monkeypatch.setattr(world, "_registered", {})
    monkeypatch.setattr(world, "_remembered", {})


LATER = {"jax.nn:identity": (0, 6), "jax.nn:logmeanexp": (0, 7)}


def test_every_curated_name_exists_since_the_version_of_jax_that_brought_it():
    lists = {
        "jax.nn": stock_names.JAX_NN,
        "jax.nn.initializers": stock_names.INITIALIZERS,
        "flax.linen": stock_names.FLAX_LINEN,
        "jax.numpy": stock_names.JAX_NUMPY,
        "jax.lax": stock_names.JAX_LAX,
        "jax.scipy.special": stock_names.SPECIAL,
    }
    missing = [
        f"{m}:{n}" for m, names in lists.items() for n in names.split() if f"{m}:{n}" not in STOCK
    ]
    assert missing == [name for name, since in LATER.items() if jax.__version_info__ < since]
