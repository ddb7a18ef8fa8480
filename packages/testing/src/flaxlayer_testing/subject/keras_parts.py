"""Parts of Keras that stand around a layer under test: models, a mask, a global policy (A11)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.oracle.call import RawCall
from flaxlayer_testing.subject.layer import arrays_of

__all__ = ["AddsLoss", "GivesMask", "Holder", "ProbeModel", "SeesMask", "global_policy"]


class Holder(keras.Model):
    """A subclassed model that calls a layer on a list of arrays.

    Args:
        layer: The layer that it holds.
        raw: Puts the arrays into the arguments of the call.
    """

    def __init__(self, layer: Any, raw: RawCall) -> None:
        super().__init__(autocast=False)  # the layer is under test, not what Keras casts for it
        self.layer, self.raw = layer, raw

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Returns the arrays of the outputs."""
        args, kwargs = self.raw.merge(list(inputs))
        return arrays_of(self.layer(*args, training=training, **kwargs))


class ProbeModel(keras.Model):
    """A model whose loss is the probe loss of what a layer, or a model around it, gives.

    Args:
        inner: The layer or the model, whose weights are trained.
        raw: Puts the arrays, which are the model's inputs, into the arguments of the call.
        run: Calls it on positional arguments, keyword arguments and the training flag.
    """

    def __init__(self, inner: Any, raw: RawCall, run: Callable[[Any, Any, Any], Any]) -> None:
        super().__init__(autocast=False)
        self.inner, self.raw, self.run = inner, raw, run

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Adds the loss and returns it."""
        args, kwargs = self.raw.merge(list(inputs))
        loss = current_backend().probe_loss(self.run(args, kwargs, training))
        self.add_loss(loss)
        return loss


class GivesMask(keras.layers.Layer):
    """Gives its input a mask.

    Args:
        mask: The mask, or a function that makes it of the input.
    """

    def __init__(self, mask: Any) -> None:
        super().__init__(autocast=False)
        self.supports_masking, self.given = True, mask

    def call(self, inputs: Any) -> Any:
        """Returns a copy of the input."""
        return current_backend().duplicate(inputs)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Returns the mask."""
        return self.given(inputs) if callable(self.given) else self.given


class SeesMask(keras.layers.Layer):
    """Keeps the mask that its input has, in `seen`."""

    seen: Any

    def __init__(self) -> None:
        super().__init__(autocast=False)
        self.supports_masking, self.seen = True, None

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Returns the input."""
        self.seen = mask
        return inputs


class AddsLoss(keras.layers.Layer):
    """Adds the probe loss of its inputs, and hands them on."""

    def __init__(self) -> None:
        super().__init__(autocast=False)

    def call(self, inputs: Any) -> Any:
        """Returns the inputs."""
        self.add_loss(current_backend().probe_loss(inputs))
        return inputs


@contextmanager
def global_policy(name: str | None) -> Iterator[None]:
    """Sets Keras's global dtype policy for a while; None leaves it as it is."""
    before = keras.config.dtype_policy()
    if name is not None:
        keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
