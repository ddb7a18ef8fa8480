"""mamba3-jax: the Mamba3 state space model."""

from functools import partial

from conformance.field.entry import Published, load, normal


def _config():
    return load("mamba3_jax.modeling:Mamba3Config")(
        vocab_size=7, hidden_size=4, state_size=4, head_dim=4, chunk_size=4, num_hidden_layers=1
    )


ENTRIES = (
    Published(
        "mamba3-jax",
        "mamba3_jax.modeling:Mamba3Mixer",
        "sequences",
        lambda kind: (partial(kind, _config(), 0), (normal(2, 4, 4),)),
        registers=("mamba3_jax.modeling:Mamba3Config",),
    ),
)
