"""Checks of a layer inside a subclassed model that comes back from a file (§7)."""

from __future__ import annotations

import pathlib
import tempfile
import warnings
from typing import Any

import keras

from flaxlayer_testing.checks.needs import MODEL, Need
from flaxlayer_testing.checks.registry import Errors, check, largest
from flaxlayer_testing.checks.weights import distinct
from flaxlayer_testing.compare.trees import compare_trees
from flaxlayer_testing.subject.keras_parts import Holder
from flaxlayer_testing.subject.layer import arrays_of, call_model, variables_of
from flaxlayer_testing.subject.parity import compare_runs
from flaxlayer_testing.subject.subject import Subject

__all__ = ["check_saved_subclass"]


def _model_class(subject: Subject) -> Any:
    class Saved(Holder):
        """A model that makes its layer itself, as most subclassed models do."""

        def __init__(self) -> None:
            super().__init__(subject.new_layer(), subject.oracle.raw)

        def get_config(self) -> dict[str, Any]:
            """Returns nothing: the class says it all."""
            return {}

        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Any:
            """Makes the model."""
            return cls(**config)

    return Saved


@check("W4", needs=(*MODEL, Need.PARAMS))
def check_saved_subclass(subject: Subject) -> Errors:
    """A subclassed model that is saved opens with its trained weights, whatever its inputs."""
    kind = _model_class(subject)
    model = kind()
    call_model(model, subject.arrays)
    layer = model.layer
    # Other values than a seed makes: what training leaves.
    variables = distinct(subject.expected.variables(layer))
    layer.load_flax_variables(variables)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # Keras builds the model with floats, and warns where these are no inputs of it.
        warnings.filterwarnings("ignore", "Model .* had a build config", UserWarning)
        path = pathlib.Path(folder) / "model.keras"
        model.save(path)
        again = keras.models.load_model(path, custom_objects={kind.__name__: kind})
    rngs = subject.expected.keys(layer, training=False)
    expected, _ = subject.oracle.apply(variables, rngs, training=False)
    actual = call_model(again, subject.arrays)
    what = "of a subclassed model from a file"
    held = compare_trees(
        _unmoved(subject, variables),
        _unmoved(subject, variables_of(again.layer)),
        bitwise=True,
        path=f"variables {what}",
    )
    return largest(held, compare_runs(subject, arrays_of(expected), actual, path=f"outputs {what}"))


def _unmoved(subject: Subject, variables: dict[str, Any]) -> dict[str, Any]:
    # The call that builds a layer which came back unbuilt may change its state.
    trainable = subject.oracle.raw.trainable
    return {name: tree for name, tree in variables.items() if name in trainable}
