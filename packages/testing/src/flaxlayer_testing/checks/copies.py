"""Checks of a model by every route: saved, from JSON, cloned, copied, pickled, exported (§8)."""

from __future__ import annotations

import copy
import importlib
import pathlib
import pickle
import tempfile
from collections.abc import Callable
from typing import Any

import keras

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.checks.calls import run_raw
from flaxlayer_testing.checks.needs import MODEL, Need
from flaxlayer_testing.checks.registry import Errors, check, largest
from flaxlayer_testing.checks.weights import distinct
from flaxlayer_testing.compare.trees import compare_trees
from flaxlayer_testing.subject.layer import arrays_of, call_model, variables_of
from flaxlayer_testing.subject.parity import compare_runs
from flaxlayer_testing.subject.subject import Subject

__all__ = [
    "check_cloned_model",
    "check_copied_model",
    "check_exported_model",
    "check_model_json",
    "check_pickled_model",
    "check_saved_model",
]


def _model_layer(model: keras.Model, kind: type) -> Any:
    return next(layer for layer in model.layers if isinstance(layer, kind))


def _compare_copy(
    subject: Subject, route: Callable[[keras.Model], keras.Model], what: str
) -> Errors:
    """Compares a model that came by a route with the layer that it was made of."""
    layer = subject.shared_layer()
    variables = distinct(subject.expected.variables(layer))
    layer.load_flax_variables(variables)
    with keras.saving.custom_object_scope({type(layer).__name__: type(layer)}):
        model = route(subject.model(layer))
    subject.shared_layer()  # gives the original other values, which are no copy's
    other = _model_layer(model, type(layer))
    path = f"variables of {what}"
    held = compare_trees(variables, variables_of(other), bitwise=True, path=path)
    rngs = subject.expected.keys(other, training=False)
    expected, _ = subject.oracle.apply(variables, rngs, training=False)
    actual = call_model(model, subject.arrays)
    path = f"outputs of {what}"
    computed = compare_runs(subject, arrays_of(expected), actual, path=path)
    return largest(held, computed)


@check("S4", "W3", needs=MODEL)
def check_saved_model(subject: Subject) -> Errors:
    """A `.keras` file opens to a model with the same predictions and variables."""

    def save(model: keras.Model) -> keras.Model:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.keras"
            model.save(path)
            return keras.models.load_model(path)

    return _compare_copy(subject, save, "a file")


@check("S4", needs=MODEL)
def check_model_json(subject: Subject) -> Errors:
    """`to_json` describes a model that takes the same weights and predicts the same."""

    def rebuild(model: keras.Model) -> keras.Model:
        again = keras.models.model_from_json(model.to_json())
        again.set_weights(model.get_weights())
        return again

    return _compare_copy(subject, rebuild, "a model from JSON")


@check("S4", needs=MODEL)
def check_cloned_model(subject: Subject) -> Errors:
    """`clone_model` gives a model that takes the same weights and predicts the same."""

    def clone(model: keras.Model) -> keras.Model:
        again = keras.models.clone_model(model)
        again.set_weights(model.get_weights())
        return again

    return _compare_copy(subject, clone, "a cloned model")


@check("S4", needs=MODEL)
def check_copied_model(subject: Subject) -> Errors:
    """`copy.deepcopy` of a model has its variables and predicts the same."""
    return _compare_copy(subject, copy.deepcopy, "a copied model")


@check("S4", needs=MODEL)
def check_pickled_model(subject: Subject) -> Errors:
    """A pickled model has its variables and predicts the same."""
    return _compare_copy(subject, lambda model: pickle.loads(pickle.dumps(model)), "a pickle")


@check("S4", needs=(*MODEL, Need.QUIET_MODE, Need.TENSORFLOW, Need.EXPORTS), slow=True)
def check_exported_model(subject: Subject) -> Errors:
    """`model.export` gives a SavedModel that serves the same predictions."""
    tensorflow = importlib.import_module("tensorflow")
    layer = subject.shared_layer()
    expected, _ = run_raw(subject, layer, training=False)
    with tempfile.TemporaryDirectory() as folder:
        subject.model(layer).export(folder, verbose=False)
        # Its variables live as long as the artifact itself.
        artifact = tensorflow.saved_model.load(folder)
        served = artifact.serve(current_backend().to_backend(subject.arrays))
    actual = [part.numpy() for part in tensorflow.nest.flatten(served)]
    path = "outputs of an exported model"
    return compare_runs(subject, arrays_of(expected), actual, path=path, inlined=True)
