"""Each Keras backend has what exports its models (S4)."""

import inspect

import keras
import pytest

from flaxlayer.exports.exporters import _EXPORTERS, Endpoints, Exporter, current_exporter
from packages.layer.tests.exports.refused import REFUSED_ON_TORCH

pytestmark = pytest.mark.law("S4")

BY_BACKEND = {"jax": "JaxExporter", "tensorflow": "TensorFlowExporter"}


def _parts(protocol):
    return {name for name in vars(protocol) if not name.startswith("_")}


@REFUSED_ON_TORCH
def test_the_exporter_is_that_of_the_library_that_traces():
    assert type(current_exporter()).__name__ == BY_BACKEND[keras.backend.backend()]


@pytest.mark.parametrize("traced_by", sorted(_EXPORTERS))
def test_an_exporter_takes_what_the_protocol_says(traced_by):
    made = _EXPORTERS[traced_by]()
    assert "jax2onnx" in made.onnx_packages
    for name in _parts(Exporter):
        ours, asked = (inspect.signature(getattr(of, name)) for of in (type(made), Exporter))
        assert ours.parameters == asked.parameters
    endpoints = made.endpoints(None)
    for name in _parts(Endpoints):
        ours, asked = (inspect.signature(getattr(of, name)) for of in (type(endpoints), Endpoints))
        assert ours.parameters == asked.parameters
