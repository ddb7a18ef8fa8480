"""What programs put around a layer: they hold the source of what they use (A11)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from flaxlayer_testing.render.raw_trees import is_array, split
from flaxlayer_testing.scenario.printed.held_values import arrays_of, tensors

__all__ = [
    "AddsLoss",
    "Around",
    "GivesMask",
    "LossBehind",
    "SeesMask",
    "Subclassed",
    "Unbuilt",
    "alone",
    "behind_mask",
    "built_sequential",
    "custom_layer",
    "functional",
    "inputs_like",
    "loss_behind",
    "mask_of",
    "mode",
    "model_of",
    "of_list",
    "probe",
    "probe_of_layer",
    "sequential",
    "subclassed",
    "time_distributed",
]


def mode(training: Any) -> dict[str, bool]:
    """Returns the keyword that says a mode, none where the caller says none."""
    return {} if training is None else {"training": training}


def inputs_like(tree: Any, any_batch: bool = True, unknown: Any = ()) -> Any:
    """Returns a tree with a `keras.Input` for each array, of which some dimensions are unknown."""
    arrays, merge = split(tree)
    found = []
    for number, array in enumerate(arrays):
        shape = list(array.shape)
        for place, axis in unknown:
            if place == number:
                shape[axis] = None
        shape[:1] = [None] if any_batch else shape[:1]
        found.append(keras.Input(batch_shape=tuple(shape), dtype=str(array.dtype)))
    return merge(found)


def model_of(
    layer: Any, inputs: Any, arguments: Any, any_batch: bool = True, unknown: Any = ()
) -> Any:
    """Returns a functional model of a layer alone, from and to lists of arrays."""
    args, kwargs = inputs_like((inputs, arguments), any_batch, unknown)
    return keras.Model(arrays_of((args, kwargs)), arrays_of(layer(*args, **kwargs)))


def alone(layer: Any) -> Any:
    """Calls a layer by itself."""
    return layer, lambda args, kwargs, training: layer(
        *tensors(args), **mode(training), **tensors(kwargs)
    )


def of_list(model: Any) -> Any:
    """Calls a model on the list of the arrays among the arguments."""
    return model, lambda args, kwargs, training: arrays_of(
        model(tensors(arrays_of((args, kwargs))), **mode(training))
    )


def functional(layer: Any, *call: Any, **sizes: Any) -> Any:
    """Puts a layer into a functional model."""
    return of_list(model_of(layer, *call, **sizes))


class Around(keras.layers.Layer):
    """A layer that holds another."""

    def __init__(self, layer: Any) -> None:
        super().__init__(autocast=False)
        self.layer = layer

    def call(self, *args: Any, training: Any = None, **kwargs: Any) -> Any:
        """Calls the layer that it holds."""
        return self.layer(*args, **mode(training), **kwargs)


def custom_layer(layer: Any) -> Any:
    """Puts a layer into another of one's own."""
    return alone(Around(layer))


class Subclassed(keras.Model):
    """A model that calls a layer on a list of arrays."""

    def __init__(self, layer: Any, inputs: Any, arguments: Any) -> None:
        super().__init__(autocast=False)
        self.layer, self.merge = layer, split((inputs, arguments))[1]

    def call(self, inputs: Any, training: Any = None) -> Any:
        """Returns the arrays of the outputs."""
        args, kwargs = self.merge(list(inputs))
        return arrays_of(self.layer(*args, training=training, **kwargs))


class Unbuilt(Subclassed):
    """One that counts as built at once, whatever its layer is."""

    def __init__(self, *call: Any) -> None:
        super().__init__(*call)
        self.built = True


def subclassed(layer: Any, inputs: Any, arguments: Any) -> Any:
    """Puts a layer into a subclassed model."""
    return of_list(Subclassed(layer, inputs, arguments))


def sequential(layer: Any, *before: Any) -> Any:
    """Puts a layer into a `Sequential`."""
    model = keras.Sequential([*before, layer])
    return model, lambda args, kwargs, training: arrays_of(
        model(tensors(args[0]), **mode(training))
    )


def built_sequential(layer: Any, inputs: Any, any_batch: bool = True, unknown: Any = ()) -> Any:
    """Puts a layer into a `Sequential` that knows its input."""
    return sequential(layer, *inputs_like(inputs, any_batch, unknown))


def mask_of(array: Any) -> Any:
    """Returns the mask of an array of `[batch, time]`: a third is masked."""
    return np.broadcast_to(np.arange(array.shape[1]) % 3 != 1, array.shape[:2])


class GivesMask(keras.layers.Layer):
    """Gives its input a mask."""

    def __init__(self) -> None:
        super().__init__(autocast=False)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """Returns a copy of the input."""
        return keras.ops.copy(inputs)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Returns the mask."""
        rows = keras.ops.shape(inputs)[:2]
        return keras.ops.broadcast_to(np.arange(inputs.shape[1]) % 3 != 1, rows)


class SeesMask(keras.layers.Layer):
    """Keeps the mask that its input has."""

    def __init__(self) -> None:
        super().__init__(autocast=False)
        self.supports_masking, self.seen = True, None

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Returns the input."""
        self.seen = mask
        return inputs


def behind_mask(layer: Any, masks: list[Any]) -> Any:
    """Puts a layer behind one that gives its first input a mask; fills a list with those behind."""
    gives = GivesMask()

    def run(args: Any, kwargs: Any, training: Any) -> Any:
        first, *rest = tensors(args)
        outputs = layer(gives(first), *rest, **mode(training), **tensors(kwargs))
        seers = [(SeesMask(), array) for array in arrays_of(outputs)]
        for sees, array in seers:
            sees(array)
        masks[:] = [sees.seen for sees, _ in seers]
        return outputs

    return layer, run


def time_distributed(layer: Any) -> Any:
    """Puts a layer into `TimeDistributed`, which calls it on two steps."""
    around = keras.layers.TimeDistributed(layer, autocast=False)

    def run(args: Any, kwargs: Any, training: Any) -> Any:
        first = tensors(args[0])
        both = keras.ops.stack([first, keras.ops.flip(first, axis=0)], axis=1)
        return arrays_of(around(both, **mode(training)))

    return around, run


def probe(outputs: Any) -> Any:
    """Returns a loss in which no two elements of the floating outputs weigh the same."""
    total = jnp.zeros((), jnp.float32)
    for leaf in jax.tree.leaves(outputs):
        if is_array(leaf) and jnp.issubdtype(leaf.dtype, jnp.inexact) and leaf.size:
            flat = jnp.real(leaf).reshape(-1).astype(jnp.float32)
            total += jnp.mean(flat * np.cos(np.arange(flat.size, dtype=np.float32)))
    return total


def probe_of_layer(outputs: Any) -> Any:
    """Returns the same of what a layer gives, in tensors, whose sizes may be unknown."""
    total = keras.ops.zeros((), "float32")
    for leaf in arrays_of(outputs):
        kind = keras.backend.standardize_dtype(leaf.dtype)
        if not kind.startswith(("float", "bfloat", "complex")) or 0 in leaf.shape:
            continue
        flat = keras.ops.reshape(keras.ops.cast(keras.ops.real(leaf), "float32"), (-1,))
        if flat.shape[0] is None:
            numbers = keras.ops.arange(keras.ops.size(flat), dtype="float64")
            weights = keras.ops.cast(keras.ops.cos(numbers), "float32")
        else:
            weights = np.cos(np.arange(flat.shape[0], dtype=np.float32))
        total += keras.ops.mean(keras.ops.multiply(flat, weights))
    return total


class AddsLoss(keras.layers.Layer):
    """Adds the probe loss of its inputs, and hands them on."""

    def __init__(self) -> None:
        super().__init__(autocast=False)

    def call(self, inputs: Any) -> Any:
        """Returns the inputs."""
        self.add_loss(probe_of_layer(inputs))
        return inputs


class LossBehind(Subclassed):
    """A model of a layer, and of one behind it that adds a loss."""

    def __init__(self, *call: Any) -> None:
        super().__init__(*call)
        self.behind = AddsLoss()

    def call(self, inputs: Any, training: Any = None) -> Any:
        """Returns the arrays of the outputs."""
        return self.behind(super().call(inputs, training))


def loss_behind(layer: Any, inputs: Any, arguments: Any) -> Any:
    """Puts a layer before one that adds a loss."""
    return of_list(LossBehind(layer, inputs, arguments))
