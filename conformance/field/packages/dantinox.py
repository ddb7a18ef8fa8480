"""dantinox: language models of nnx."""

from functools import partial

from conformance.field.entry import Published, normal

ENTRIES = (
    Published(
        "dantinox",
        "dantinox.core.lora:LoRALinear",
        "language",
        lambda kind: (partial(kind, 4, 3, rank=2, dropout_rate=0.1), (normal(3, 4),)),
    ),
    Published(
        "dantinox",
        "dantinox.core.block:AdaLayerNorm",
        "language",
        lambda kind: (partial(kind, 4, 3), (normal(2, 5, 4), normal(2, 3))),
    ),
)
