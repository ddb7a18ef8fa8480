"""nano-moe-jax: a small mixture-of-experts language model."""

from conformance.field.entry import Published, integers, load, normal


def _config():
    return load("nano_moe.config:NanoMoEConfig")(
        vocab_size=11, block_size=6, n_layers=1, n_heads=2, d_model=8, d_ff=8, n_experts=2, top_k=1
    )


ENTRIES = (
    Published(
        "nano-moe-jax",
        "nano_moe.model:NanoMoE",
        "language",
        lambda kind: (kind(_config()), (integers(3, 5, below=11),)),
        registers=("nano_moe.config:NanoMoEConfig",),
    ),
    Published(
        "nano-moe-jax",
        "nano_moe.layers:MultiHeadAttention",
        "language",
        lambda kind: (kind(_config()), (normal(3, 5, 8),)),
        registers=("nano_moe.config:NanoMoEConfig",),
    ),
)
