"""bijx: bijections and normalising flows of nnx."""

from functools import partial

from conformance.field.entry import Published, normal

ENTRIES = (
    Published(
        "bijx",
        "bijx.nn.nets:MLP",
        "flows and transport",
        lambda kind: (partial(kind, 3, 2, hidden_features=[6]), (normal(4, 3),)),
    ),
    Published(
        "bijx",
        "bijx.nn.embeddings:KernelGauss",
        "flows and transport",
        lambda kind: (partial(kind, 5), (normal(4, 1),)),
    ),
)
