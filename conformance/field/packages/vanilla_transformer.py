"""vanilla-transformer-jax: the transformer of the paper."""

from conformance.field.entry import Published, normal

ENTRIES = (
    Published(
        "vanilla-transformer-jax",
        "vtransformer.layers:EncoderBlock",
        "language",
        lambda kind: (kind(emb_dim=4, n_heads=2, d_k=2, d_v=2, d_ff=6), (normal(2, 5, 4),)),
    ),
)
