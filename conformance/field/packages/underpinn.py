"""underpinn: networks of physics that is learned from equations."""

from conformance.field.entry import Published, normal

ENTRIES = (
    Published(
        "underpinn",
        "underPINN.nn.mlp:GatedMLP",
        "physics",
        lambda kind: (kind(layers=[2, 5, 5, 1]), (normal(4, 2),)),
    ),
    Published(
        "underpinn",
        "underPINN.nn.mlp:SIREN",
        "physics",
        lambda kind: (kind(layers=[2, 4, 1]), (normal(4, 2),)),
    ),
    Published(
        "underpinn",
        "underPINN.nn.attention:AdditiveAttention",
        "physics",
        lambda kind: (kind(dim=3, hidden=4), (normal(4, 3), normal(4, 3), normal(4, 3))),
    ),
)
