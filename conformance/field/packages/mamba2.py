"""mamba2-jax: the Mamba2 state space model."""

from functools import partial

from conformance.field.entry import Published, load, normal


def _config():
    return load("mamba2_jax.modeling:Mamba2Config")(
        vocab_size=7, hidden_size=4, state_size=3, head_dim=4, chunk_size=4, num_hidden_layers=1
    )


ENTRIES = (
    Published(
        "mamba2-jax",
        "mamba2_jax.modeling:Mamba2Mixer",
        "sequences",
        lambda kind: (partial(kind, _config(), 0), (normal(2, 4, 4),)),
        registers=("mamba2_jax.modeling:Mamba2Config",),
    ),
    Published(
        "mamba2-jax",
        "mamba2_jax.modeling:DepthwiseConv1d",
        "sequences",
        lambda kind: (partial(kind, 4, 3), (normal(2, 5, 4),)),
    ),
)
