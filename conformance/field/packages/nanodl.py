"""nanodl: transformers, diffusion and graphs from scratch."""

from conformance.field.entry import Published, integers, normal

ENTRIES = (
    Published(
        "nanodl",
        "nanodl:MultiQueryAttention",
        "language",
        lambda kind: (kind(hidden_dim=4, num_heads=2), (normal(2, 3, 4), normal(2, 3, 4))),
    ),
    Published(
        "nanodl",
        "nanodl:GAT",
        "graphs",
        lambda kind: (
            kind(nfeat=4, nhid=3, nclass=2, dropout_rate=0.1, alpha=0.2, nheads=1),
            (normal(5, 4), integers(5, 5, below=2)),
        ),
    ),
    Published(
        "nanodl",
        "nanodl:UNetResidualBlock",
        "diffusion",
        lambda kind: (kind(width=4), (normal(2, 4, 4, 4),)),
    ),
)
