"""Where a layer stands in a scenario: alone, in models of every kind, behind a mask (A11, T9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from flaxlayer_testing.oracle.call import is_array
from flaxlayer_testing.oracle.oracle import Oracle
from flaxlayer_testing.subject.keras_parts import GivesMask, Holder
from flaxlayer_testing.subject.layer import arrays_of, as_inputs

__all__ = ["SURROUNDINGS", "Held", "Surrounding", "model_of", "numpy_mask"]


@dataclass(frozen=True)
class Held:
    """A layer in its surrounding.

    Attributes:
        layer: The layer under test.
        model: What is called in its place.
        run: Calls it: `run(arguments, keyword arguments, training)`, on arrays of the backend.
        flat: Whether it gives a list of the arrays among the outputs, not their tree.
        varies: Whether arguments that are no arrays may be others in a later call.
    """

    layer: Any
    model: Any
    run: Callable[[tuple[Any, ...], Mapping[str, Any], bool | None], Any]
    flat: bool = True
    varies: bool = False


@dataclass(frozen=True)
class Surrounding:
    """A place where a layer may stand.

    Attributes:
        put: Puts a layer there, for calls like a raw one.
        fits: Whether a module can stand there.
        saves: Whether `model.save` writes the model as it is.
    """

    put: Callable[[Any, Oracle], Held]
    fits: Callable[[Oracle], bool]
    saves: bool = False


def _mode(training: bool | None) -> dict[str, bool]:
    return {} if training is None else {"training": training}


def _any(oracle: Oracle) -> bool:
    return True


def _takes_tensors(oracle: Oracle) -> bool:
    # Keras itself takes nothing else by position, but of our layer.
    return all(map(is_array, keras.tree.flatten(oracle.raw.inputs)))


def _array_arguments(oracle: Oracle) -> bool:
    arrays = oracle.raw.arrays
    return oracle.traceable and bool(arrays) and all(array.ndim > 0 for array in arrays)


def _one_array(oracle: Oracle) -> bool:
    raw = oracle.raw
    if not _array_arguments(oracle) or raw.arguments or len(raw.inputs) != 1:
        return False
    return hasattr(raw.inputs[0], "dtype") and all(
        leaf is True for leaf in keras.tree.flatten(oracle.array_outputs)
    )


def _alone(layer: Any, oracle: Oracle) -> Held:
    def run(args: tuple[Any, ...], kwargs: Mapping[str, Any], training: bool | None) -> Any:
        return layer(*args, **_mode(training), **kwargs)

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
        return self.layer(*args, **_mode(training), **kwargs)


def _custom_layer(layer: Any, oracle: Oracle) -> Held:
    wrapper = Wrapper(layer)
    return Held(layer, wrapper, lambda a, k, t: wrapper(*a, **_mode(t), **k), flat=False)


def _of_list(layer: Any, model: Any) -> Held:
    def run(args: tuple[Any, ...], kwargs: Mapping[str, Any], training: bool | None) -> Any:
        return arrays_of(model(arrays_of((args, dict(kwargs))), **_mode(training)))

    return Held(layer, model, run)


def _subclassed(layer: Any, oracle: Oracle) -> Held:
    return _of_list(layer, Holder(layer, oracle.raw))


def model_of(layer: Any, oracle: Oracle) -> keras.Model:
    """Returns a functional model of a layer alone, from and to lists of arrays."""
    raw = oracle.raw
    args, kwargs = as_inputs((raw.inputs, dict(raw.arguments)), any_batch=oracle.takes_any_batch)
    inputs = arrays_of((args, kwargs))
    return keras.Model(inputs, arrays_of(layer(*args, **kwargs)))


def _functional(layer: Any, oracle: Oracle) -> Held:
    return _of_list(layer, model_of(layer, oracle))


def _of_one(layer: Any, model: Any) -> Held:
    return Held(layer, model, lambda a, k, t: arrays_of(model(a[0], **_mode(t))))


def _sequential(layer: Any, oracle: Oracle) -> Held:
    return _of_one(layer, keras.Sequential([layer]))


def _built_sequential(layer: Any, oracle: Oracle) -> Held:
    first = as_inputs(oracle.raw.arrays[0], any_batch=oracle.takes_any_batch)
    return _of_one(layer, keras.Sequential([first, layer]))


def mask_for(array: Any) -> Any:
    """Returns the mask of an array behind a mask: each third step is masked."""
    first = array[(slice(None), slice(None), *([0] * (len(array.shape) - 2)))]
    kept = np.arange(array.shape[1]) % 3 != 1
    return keras.ops.logical_and(keras.ops.ones_like(first, dtype="bool"), kept)


def numpy_mask(array: Any) -> np.ndarray[Any, Any]:
    """Returns the mask of `mask_for` as raw Flax takes it."""
    kept = np.arange(array.shape[1]) % 3 != 1
    return np.broadcast_to(kept, array.shape[:2])


def _behind_mask(layer: Any, oracle: Oracle) -> Held:
    gives = GivesMask(mask_for)

    def run(args: tuple[Any, ...], kwargs: Mapping[str, Any], training: bool | None) -> Any:
        first, *rest = args
        return layer(gives(first), *rest, **_mode(training), **kwargs)

    return Held(layer, layer, run, flat=False, varies=True)


def _first_has_two(oracle: Oracle) -> bool:
    first: Any = oracle.raw.inputs[0] if oracle.raw.inputs else None
    if not hasattr(first, "dtype") or first.ndim < 2:
        return False
    if not oracle.raw.takes_mask:
        return True
    masked = oracle.raw.with_mask(numpy_mask(first))
    return oracle.accepts(masked)


SURROUNDINGS: Mapping[str, Surrounding] = {
    "alone": Surrounding(_alone, _any),
    "functional": Surrounding(_functional, _array_arguments, saves=True),
    "sequential": Surrounding(_sequential, _one_array),
    "built_sequential": Surrounding(_built_sequential, _one_array, saves=True),
    "subclassed": Surrounding(_subclassed, _array_arguments),
    "custom_layer": Surrounding(_custom_layer, _takes_tensors),
    "behind_mask": Surrounding(_behind_mask, _first_has_two),
}
"""The surroundings by name, the simplest first."""
