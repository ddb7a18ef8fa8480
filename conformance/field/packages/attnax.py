"""attnax: attention and transformers of nnx."""

from functools import partial

from conformance.field.entry import Published, integers, normal

ENTRIES = (
    Published(
        "attnax",
        "attnax.attention:MultiHeadAttention",
        "language",
        lambda kind: (
            partial(kind, num_heads=2, in_features=8, dropout_rate=0.1),
            (normal(3, 5, 8),),
        ),
    ),
    Published(
        "attnax",
        "attnax.embeddings:PatchEmbedding",
        "vision",
        lambda kind: (
            partial(kind, image_size=4, patch_size=2, num_channels=3, d_model=6),
            (normal(2, 4, 4, 3),),
        ),
    ),
    Published(
        "attnax",
        "attnax.embeddings:TokenEmbedding",
        "language",
        lambda kind: (partial(kind, vocab_size=7, d_model=6), (integers(3, 5, below=7),)),
    ),
)
