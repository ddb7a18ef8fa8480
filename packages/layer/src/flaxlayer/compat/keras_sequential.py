"""Sequential models of Keras while they are built, and their inputs (A10).

Checked with the versions of docs/versions.md (tests/compat/test_keras_sequential.py).

- the frames of `Sequential.build`, `Layer.__call__` and `Functional._convert_inputs_to_tensors`,
  `Sequential._layers`, `KerasTensor._dtype` and `InputLayer._dtype`: a Sequential model that is
  built by its first call takes the dtype of a layer for that of its inputs, casts all inputs to it,
  and tells no layer what it was called with (A10).
- `original_args` and `original_kwargs` of `Layer.__call__`, which casts its own; Keras 3.6 has
  neither, and the wrapper around it, `error_handler`, has what it was given (A10).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import FrameType

import keras

from flaxlayer.typing import BackendArray, DType, PyTree

__all__ = ["SequentialBuild", "close_input", "sequential_builds"]


@dataclass(frozen=True)
class SequentialBuild:
    """A Sequential model that is being built at this moment.

    Attributes:
        model: The model.
        layer: The layer that it has come to.
        tensor: What that layer is called on.
        given: What the model itself was called on, None where it got only a shape.
    """

    model: keras.Sequential
    layer: keras.layers.Layer
    tensor: BackendArray
    given: PyTree

    def passed_on(self, dtype: str) -> str:
        """Returns the dtype that inputs of a dtype have when they come to the layer."""
        first, *others = self.model._layers
        tensor = keras.KerasTensor(first.output.shape, dtype)
        for layer in others[: others.index(self.layer)]:
            tensor = layer.compute_output_spec(tensor)
        return str(tensor.dtype)

    def retype(self, dtype: str) -> None:
        """Gives the inputs of the model a dtype, which reaches the layer as it is."""
        first = self.model._layers[0]
        first._dtype = first.output._dtype = dtype
        self.tensor._dtype = dtype

    def leave_open(self) -> keras.layers.InputLayer:
        """Lets the model pass its inputs on as they are; returns what shall get their dtype."""
        first = self.model._layers[0]
        first.output.__class__ = _OPEN_TENSOR
        return first


class _Open:
    """What is of its own in a tensor that a Sequential model casts nothing to the dtype of."""

    _dtype: str

    @property
    def dtype(self) -> str | None:
        """None for the model that converts its inputs to it."""
        callers = (sys._getframe(1), sys._getframe(1).f_back)  # it may ask in a comprehension
        asked = any(f and f.f_code.co_name == "_convert_inputs_to_tensors" for f in callers)
        return None if asked else self._dtype


# A tensor of Keras can have no class but one of Keras's.
_OPEN_TENSOR = type("_OpenTensor", (_Open, keras.KerasTensor), {})


def close_input(layer: keras.layers.InputLayer, dtypes: Iterable[DType]) -> None:
    """Gives an input layer that was left open the first of some dtypes."""
    for dtype in dtypes:
        layer.output.__class__ = keras.KerasTensor
        known = keras.backend.standardize_dtype(dtype)
        layer.output._dtype = known
        # Where Keras runs on nnx, a layer refuses attributes inside of a trace.
        object.__setattr__(layer, "_dtype", known)


def sequential_builds() -> list[SequentialBuild]:
    """Returns the Sequential models that are being built at this moment, the outermost first."""
    builds: list[SequentialBuild] = []
    frame: FrameType | None = sys._getframe(1)
    found = None
    while frame is not None:
        # Reading the locals of a frame keeps them alive as long as it runs: Keras's own alone.
        name, module = frame.f_code.co_name, str(frame.f_globals.get("__name__"))
        if name in ("build", "__call__") and module.startswith("keras."):
            known = frame.f_locals
            owner = known.get("self")
            if isinstance(owner, keras.Sequential) and name == "build" and "x" in known:
                found = SequentialBuild(owner, known["layer"], known["x"], None)
                builds.insert(0, found)
            elif found is not None and owner is found.model and name == "__call__":
                builds[0] = replace(found, given=_first_given(frame))
                found = None
        frame = frame.f_back
    return builds


def _first_given(call: FrameType) -> PyTree:
    known, caller = call.f_locals, call.f_back
    args, kwargs = known["args"], known["kwargs"]
    if "original_args" in known:
        args, kwargs = known["original_args"], known["original_kwargs"]
    elif caller is not None and caller.f_code.co_name == "error_handler":
        (_, *args), kwargs = caller.f_locals["args"], caller.f_locals["kwargs"]
    return [*args, *kwargs.values()][0]
