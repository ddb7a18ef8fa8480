"""Where a layer stands in a scenario: alone, in models of every kind, behind a mask (A11, T9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from flaxlayer_testing.oracle.oracle import Oracle
from flaxlayer_testing.scenario.held import (
    Held,
    Site,
    Surrounding,
    gives_arrays,
    mode_of,
    of_one,
    takes_arrays,
    takes_one,
)
from flaxlayer_testing.scenario.wrapped import (
    behind_mask,
    fits_mask,
    fits_time,
    loss_behind,
    over_time,
    steps_of,
    time_distributed,
)
from flaxlayer_testing.subject.keras_parts import Holder
from flaxlayer_testing.subject.layer import arrays_of, as_inputs

__all__ = ["SURROUNDINGS", "inputs_of", "model_of"]


def _any(oracle: Oracle) -> bool:
    return True


def _alone(layer: Any, site: Site) -> Held:
    def run(args: tuple[Any, ...], kwargs: Mapping[str, Any], training: bool | None) -> Any:
        return layer(*args, **mode_of(training), **kwargs)

    return Held(layer, layer, run, flat=False, varies=True)


class Wrapper(keras.layers.Layer):
    """A layer of a user's own that holds another.

    Args:
        layer: The layer that it holds.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__(autocast=False)
        self.layer = layer

    def call(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """Calls the layer that it holds."""
        return self.layer(*args, **mode_of(training), **kwargs)


def _custom_layer(layer: Any, site: Site) -> Held:
    wrapper = Wrapper(layer)
    return Held(layer, wrapper, lambda a, k, t: wrapper(*a, **mode_of(t), **k), flat=False)


def _of_list(layer: Any, model: Any) -> Held:
    def run(args: tuple[Any, ...], kwargs: Mapping[str, Any], training: bool | None) -> Any:
        return arrays_of(model(arrays_of((args, dict(kwargs))), **mode_of(training)))

    return Held(layer, model, run)


def _subclassed(layer: Any, site: Site) -> Held:
    return _of_list(layer, Holder(layer, site.oracle.raw))


def inputs_of(site: Site) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns the arguments of a call with a `keras.Input` for each array."""
    raw, kwargs = site.oracle.raw, dict(site.oracle.raw.arguments)
    args, kwargs = as_inputs(
        (raw.inputs, kwargs),
        any_batch=site.oracle.takes_any_batch,
        other=(raw.inputs if site.other is None else site.other, kwargs),
    )
    return args, kwargs


def model_of(layer: Any, site: Site) -> keras.Model:
    """Returns a functional model of a layer alone, from and to lists of arrays."""
    args, kwargs = inputs_of(site)
    return keras.Model(arrays_of((args, kwargs)), arrays_of(layer(*args, **kwargs)))


def _functional(layer: Any, site: Site) -> Held:
    return _of_list(layer, model_of(layer, site))


def _sequential(layer: Any, site: Site) -> Held:
    return of_one(layer, keras.Sequential([layer]))


def _built_sequential(layer: Any, site: Site) -> Held:
    (first,), _ = inputs_of(site)
    return of_one(layer, keras.Sequential([first, layer]))


SURROUNDINGS: Mapping[str, Surrounding] = {
    "alone": Surrounding(_alone, _any),
    "functional": Surrounding(_functional, takes_arrays),
    "sequential": Surrounding(_sequential, takes_one),
    "built_sequential": Surrounding(_built_sequential, takes_one),
    "subclassed": Surrounding(_subclassed, takes_arrays),
    "custom_layer": Surrounding(_custom_layer, gives_arrays),
    "behind_mask": Surrounding(behind_mask, fits_mask),
    "time_distributed": Surrounding(
        time_distributed, fits_time, parts=steps_of, joined=over_time, takes_sown=False
    ),
    "loss_behind": Surrounding(loss_behind, takes_arrays, losses_behind=1),
}
"""The surroundings by name, the simplest first."""
