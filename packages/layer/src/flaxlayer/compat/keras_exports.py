"""What Keras's own exports know and hold, beyond what they offer.

Checked with the versions of docs/versions.md (tests/compat/test_keras_exports.py).

- `keras.src.export.export_utils.get_input_signature` (since Keras 3.8): what `Model.export` takes
  for the signature of a model; it knows a subclassed one by its first call (S4).
- the lists that `variables`, `trainable_variables` and `non_trainable_variables` of
  `keras.export.ExportArchive` return: they are those that it writes. `track` makes variables of a
  layer on the JAX backend that nothing else gets at, and tells nothing of which stands for which;
  what an endpoint of ours assigns to has to be in the SavedModel (S4).
- `keras.src.utils.io_utils.print_msg`: it prints where Keras's users want it to.
"""

from __future__ import annotations

from typing import Any

import keras
from keras.src.utils import io_utils

from flaxlayer.typing import InputSignature

__all__ = ["announce", "hold_variable", "model_signature"]


def announce(message: str) -> None:
    """Prints a line as Keras does: to the standard output, or to a log."""
    io_utils.print_msg(message)


def hold_variable(archive: keras.export.ExportArchive, variable: Any, *, trainable: bool) -> None:
    """Adds a variable of TensorFlow to those that an archive writes.

    Args:
        archive: The archive.
        variable: A `tf.Variable`.
        trainable: Whether it is among the trainable ones.
    """
    own = archive.trainable_variables if trainable else archive.non_trainable_variables
    own.append(variable)
    archive.variables.append(variable)


def model_signature(model: keras.Model) -> InputSignature | None:
    """Returns what describes each positional argument of a model, None where Keras is too old."""
    try:
        from keras.src.export.export_utils import get_input_signature
    except ImportError:
        return None
    return get_input_signature(model)
