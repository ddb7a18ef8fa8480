"""Any Flax module as a first-class Keras layer."""

# ruff: noqa: E402  What follows imports Keras, which would fail without a word on its backend.

from flaxlayer_core import require_backend

require_backend()

from flaxlayer.exports import ExportArchive, export
from flaxlayer.layer import FlaxLayer
from flaxlayer.methods import FlaxMethod
from flaxlayer.saving.checkpoints.registry import read_variables
from flaxlayer.saving.reference import load_reference_model
from flaxlayer_core import CollectionPolicy, FlaxLayerError, register

__all__ = [
    "CollectionPolicy",
    "ExportArchive",
    "FlaxLayer",
    "FlaxLayerError",
    "FlaxMethod",
    "export",
    "load_reference_model",
    "read_variables",
    "register",
]
