"""The signatures of endpoints: what an exported function takes."""

from __future__ import annotations

import sys

import keras

from flaxlayer.typing import InputSignature
from flaxlayer_core import ExportModelError

__all__ = ["input_specs"]


def input_specs(input_signature: InputSignature) -> InputSignature:
    """Returns a structure of `keras.InputSpec` for a structure of what describes inputs.

    As in Keras, `keras.InputSpec` and `tf.TensorSpec` are taken as they are; Keras tensors and
    arrays stand for any batch size.

    Args:
        input_signature: One entry for each positional argument.

    Raises:
        ExportModelError: If a shape or a dtype is not known.

    Example:

    ```python
    >>> import numpy as np
    >>> input_specs([np.ones((2, 3), "float32")])
    [InputSpec(dtype=float32, shape=(None, 3), ndim=2)]

    ```
    """
    return keras.tree.map_structure(_input_spec, input_signature)


def _input_spec(given: InputSignature) -> keras.InputSpec:
    shape, dtype = getattr(given, "shape", None), getattr(given, "dtype", None)
    if shape is None or dtype is None:
        raise ExportModelError(
            "An input signature does not say what an input is.",
            expected="keras.InputSpec(shape=..., dtype=...), a tf.TensorSpec, a Keras tensor or an "
            "array",
            found=str(given),
            fix="Give the shape, None for what is unknown, and the dtype.",
            law="S4",
        )
    shape = tuple(shape)
    named = isinstance(given, keras.InputSpec | keras.KerasTensor) or _is_tensor_spec(given)
    if shape and not isinstance(given, keras.InputSpec) and not _is_tensor_spec(given):
        shape = (None, *shape[1:])
    dtype = keras.backend.standardize_dtype(dtype)
    return keras.InputSpec(shape=shape, dtype=dtype, name=given.name if named else None)


def _is_tensor_spec(given: object) -> bool:
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(given, tensorflow.TensorSpec)
