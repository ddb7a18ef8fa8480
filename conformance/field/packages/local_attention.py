"""local-attention-flax: attention over windows of one sequence, without a batch."""

from conformance.field.entry import Published, normal

ENTRIES = (
    Published(
        "local-attention-flax",
        "local_attention_flax.local_attention_flax:LocalAttention",
        "language",
        lambda kind: (kind(dim=6, window_size=2, heads=2, dim_head=3), (normal(4, 6),)),
    ),
)
