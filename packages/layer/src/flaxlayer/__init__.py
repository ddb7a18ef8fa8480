"""Any Flax linen module as a first-class Keras layer."""

from flaxlayer_core import CollectionPolicy, FlaxLayerError
from flaxlayer_core.config import register

from flaxlayer.layer import FlaxLayer
from flaxlayer.methods import FlaxMethod

__all__ = ["CollectionPolicy", "FlaxLayer", "FlaxLayerError", "FlaxMethod", "register"]
