"""jaxkit: deep learning architectures of nnx."""

from functools import partial

from conformance.field.entry import Published, normal

ENTRIES = (
    Published(
        "jaxkit",
        "jaxkit.fully_connected:FullyConnectedBlock",
        "other",
        lambda kind: (
            partial(kind, in_features=4, hidden_features=6, out_features=4, activation="relu"),
            (normal(5, 4),),
        ),
    ),
)
