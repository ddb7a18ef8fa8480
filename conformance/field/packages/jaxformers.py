"""jaxformers: transformers by the paper."""

from conformance.field.entry import Published, normal

ENTRIES = (
    Published(
        "jaxformers",
        "jaxformers.blocks:MLPBlock",
        "language",
        lambda kind: (kind(in_features=6), (normal(3, 5, 4),)),
    ),
    Published(
        "jaxformers",
        "jaxformers.attention:MultiHeadAttention",
        "language",
        lambda kind: (
            kind(num_heads=2, embed_dim=4, head_dim=2),
            (normal(2, 5, 4), normal(2, 5, 4), normal(2, 5, 4)),
        ),
    ),
)
