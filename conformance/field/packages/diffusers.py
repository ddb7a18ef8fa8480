"""diffusers: the Flax side of Stable Diffusion."""

from conformance.field.entry import Published, normal

ENTRIES = (
    Published(
        "diffusers",
        "diffusers.models.attention_flax:FlaxAttention",
        "diffusion",
        lambda kind: (kind(query_dim=4, heads=2, dim_head=2, dropout=0.1), (normal(2, 3, 4),)),
    ),
    Published(
        "diffusers",
        "diffusers.models.embeddings_flax:FlaxTimestepEmbedding",
        "diffusion",
        lambda kind: (kind(time_embed_dim=4), (normal(3, 5),)),
    ),
    Published(
        "diffusers",
        "diffusers.models.resnet_flax:FlaxResnetBlock2D",
        "diffusion",
        lambda kind: (
            kind(in_channels=32, dropout_prob=0.1),
            (normal(2, 2, 2, 32), normal(2, 3)),
        ),
    ),
)
