"""avitai-artifex: generative models of nnx."""

from functools import partial

from conformance.field.entry import Published, normal

ENTRIES = (
    Published(
        "avitai-artifex",
        "artifex.generative_models.core.layers.clifford.linear:CliffordLinear",
        "physics",
        lambda kind: (partial(kind, (1, 1), 2, 3), (normal(2, 2, 4),)),
    ),
    Published(
        "avitai-artifex",
        "artifex.generative_models.core.layers.kan.basis_layers:ChebyshevKANLayer",
        "other",
        lambda kind: (partial(kind, n_in=2, n_out=3, D=3), (normal(4, 2),)),
    ),
    Published(
        "avitai-artifex",
        "artifex.generative_models.models.autoregressive.pixel_cnn:MaskedConv2D",
        "vision",
        lambda kind: (partial(kind, 2, 3), (normal(2, 4, 4, 2),)),
    ),
    Published(
        "avitai-artifex",
        "artifex.generative_models.core.layers.egnn:EGNNBlock",
        "graphs",
        lambda kind: (
            partial(kind, in_features=3, out_features=2, hidden_features=4, dropout_rate=0.1),
            (normal(4, 3),),
        ),
    ),
)
