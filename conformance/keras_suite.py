"""A plugin of pytest that puts our layer in the place of Keras's in Keras's own tests of it (T3).

`python -m pytest -p conformance.keras_suite --pyargs keras.src.utils.jax_layer_test` runs them.
Each test records how often it called one of our layers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from keras.src.utils import jax_layer_test

from flaxlayer import FlaxLayer

__all__ = ["count_calls"]

jax_layer_test.FlaxLayer = FlaxLayer  # before the tests are collected


@pytest.fixture(autouse=True)
def count_calls(
    monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> Iterator[None]:
    """Counts the calls of our layers in a test."""
    called = []
    call = FlaxLayer.__call__

    @functools.wraps(call)
    def counted(self: FlaxLayer, *args: Any, **kwargs: Any) -> Any:
        called.append(self.name)
        return call(self, *args, **kwargs)

    monkeypatch.setattr(FlaxLayer, "__call__", counted)
    yield
    record_property("calls", len(called))
