"""Where a layer stands in a scenario: alone, in models of every kind, behind a mask (A11, T9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras

from flaxlayer_testing.oracle.call import RawCall
from flaxlayer_testing.oracle.oracle import Oracle
from flaxlayer_testing.scenario.held import (
    Held,
    Site,
    Surrounding,
    gives_arrays,
    mode_of,
    of_one,
    sizes_text,
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
from flaxlayer_testing.subject.layer import arrays_of, as_inputs, as_symbolic

__all__ = ["SURROUNDINGS", "called", "holder_of", "inputs_of", "model_of"]


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


def holder_of(layer: Any, site: Site) -> keras.Model:
    """Returns a subclassed model of a layer alone: it counts as built, whatever its layer is."""
    model = Holder(layer, site.oracle.raw)
    model.built = True
    return model


def called(model: keras.Model, raw: RawCall) -> keras.Model:
    """Returns a model after a symbolic call, which makes what it lacks and moves nothing."""
    model(as_symbolic(raw.arrays))
    return model


def _functional(layer: Any, site: Site) -> Held:
    return _of_list(layer, model_of(layer, site))


def _sequential(layer: Any, site: Site) -> Held:
    return of_one(layer, keras.Sequential([layer]))


def _built_sequential(layer: Any, site: Site) -> Held:
    (first,), _ = inputs_of(site)
    return of_one(layer, keras.Sequential([first, layer]))


def _text(function: str, *given: str, sized: bool = False) -> Callable[[Site], list[str]]:
    """Returns what prints a call of one of the functions that programs hold."""

    def text(site: Site) -> list[str]:
        words = ", ".join(["layer", *given]) + (sizes_text(site) if sized else "")
        return [f"model, run = {function}({words})"]

    return text


_CALL = ("inputs", "arguments")

SURROUNDINGS: Mapping[str, Surrounding] = {
    "alone": Surrounding(_alone, _any, text=_text("alone")),
    "functional": Surrounding(
        _functional,
        takes_arrays,
        of_graph=True,
        text=_text("functional", *_CALL, sized=True),
    ),
    "sequential": Surrounding(_sequential, takes_one, of_graph=True, text=_text("sequential")),
    "built_sequential": Surrounding(
        _built_sequential,
        takes_one,
        of_graph=True,
        text=_text("built_sequential", "inputs", sized=True),
    ),
    "subclassed": Surrounding(_subclassed, takes_arrays, text=_text("subclassed", *_CALL)),
    "custom_layer": Surrounding(_custom_layer, gives_arrays, text=_text("custom_layer")),
    "behind_mask": Surrounding(
        behind_mask,
        fits_mask,
        text=lambda site: ["masks = []", *_text("behind_mask", "masks")(site)],
    ),
    "time_distributed": Surrounding(
        time_distributed,
        fits_time,
        parts=steps_of,
        joined=over_time,
        takes_sown=False,
        text=_text("time_distributed"),
        part_texts=("", "(inputs[0][::-1],)"),
        joined_text="jnp.stack([{}, {}], axis=1)",
    ),
    "loss_behind": Surrounding(
        loss_behind, takes_arrays, losses_behind=1, text=_text("loss_behind", *_CALL)
    ),
}
"""The surroundings by name, the simplest first."""
