"""Pieces of a module that no linen layer offers, as functions and classes.

A printed program holds the source of those that it uses, so they need `jax`, `jnp` and `nn` only.
"""

from flaxlayer_testing.blocks.control import branch, choose, double_gradient, fold_streams, loop
from flaxlayer_testing.blocks.masked import apply_mask, masked_mean
from flaxlayer_testing.blocks.params import (
    complex_dense,
    decode_step,
    metadata_axis,
    table,
    tied_dense,
    tied_embed,
)
from flaxlayer_testing.blocks.sown import perturbed, sow_loss, sow_total, sow_value
from flaxlayer_testing.blocks.state import (
    boxed_sum,
    count_calls,
    count_steps,
    guarded_average,
    inference_trace,
    moving_average,
    training_trace,
)
from flaxlayer_testing.blocks.streams import always_noise, optional_noise, training_noise
from flaxlayer_testing.blocks.structure import Adapted, Apart, Gained, Helped, Shifted
from flaxlayer_testing.blocks.trees import Record, doubled

__all__ = [
    "Adapted",
    "Apart",
    "Gained",
    "Helped",
    "Record",
    "Shifted",
    "always_noise",
    "apply_mask",
    "boxed_sum",
    "branch",
    "choose",
    "complex_dense",
    "count_calls",
    "count_steps",
    "decode_step",
    "double_gradient",
    "doubled",
    "fold_streams",
    "guarded_average",
    "inference_trace",
    "loop",
    "masked_mean",
    "metadata_axis",
    "moving_average",
    "optional_noise",
    "perturbed",
    "sow_loss",
    "sow_total",
    "sow_value",
    "table",
    "tied_dense",
    "tied_embed",
    "training_noise",
    "training_trace",
]
