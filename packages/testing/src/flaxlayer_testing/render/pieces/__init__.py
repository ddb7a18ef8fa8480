"""Pieces of a module that no linen layer offers, as functions and classes.

A printed program holds the source of those that it uses, so they need `jax`, `jnp` and `nn` only.
"""

from flaxlayer_testing.render.pieces.branches import (
    branch,
    choose,
    double_gradient,
    fold_streams,
    loop,
)
from flaxlayer_testing.render.pieces.counters import (
    boxed_sum,
    count_calls,
    count_steps,
    guarded_average,
    inference_trace,
    moving_average,
    training_trace,
)
from flaxlayer_testing.render.pieces.extra_arguments import (
    Side,
    add_noise,
    add_rows,
    apply_function,
    halve,
    turn,
)
from flaxlayer_testing.render.pieces.masked import apply_mask, masked_mean
from flaxlayer_testing.render.pieces.module_forms import Adapted, Apart, Gained, Helped, Shifted
from flaxlayer_testing.render.pieces.noise import always_noise, optional_noise, training_noise
from flaxlayer_testing.render.pieces.params import (
    complex_dense,
    decode_step,
    metadata_axis,
    table,
    tied_dense,
    tied_embed,
)
from flaxlayer_testing.render.pieces.records_of_arrays import Record, doubled
from flaxlayer_testing.render.pieces.sown import perturbed, sow_loss, sow_total, sow_value
from flaxlayer_testing.render.pieces.told import told_by

__all__ = [
    "Adapted",
    "Apart",
    "Gained",
    "Helped",
    "Record",
    "Shifted",
    "Side",
    "add_noise",
    "add_rows",
    "always_noise",
    "apply_function",
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
    "halve",
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
    "told_by",
    "training_noise",
    "training_trace",
    "turn",
]
