"""vitax: vision transformers of nnx."""

from functools import partial

from conformance.field.entry import Published, normal

ENTRIES = (
    Published(
        "vitax",
        "vitax.models.vit:TransformerEncoder",
        "vision",
        lambda kind: (
            partial(kind, hidden_size=4, mlp_dim=6, num_heads=2, dropout_rate=0.1, fsdp=False),
            (normal(2, 3, 4),),
        ),
    ),
)
