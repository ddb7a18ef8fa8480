"""e3x: equivariant layers on irreducible representations."""

from conformance.field.entry import Published, integers, normal

ENTRIES = (
    Published(
        "e3x",
        "e3x.nn.modules:Dense",
        "physics",
        lambda kind: (kind(features=4), (normal(3, 1, 4, 2),)),
    ),
    Published(
        "e3x",
        "e3x.nn.modules:TensorDense",
        "physics",
        lambda kind: (kind(features=3, max_degree=1), (normal(3, 2, 4, 2),)),
    ),
    Published(
        "e3x",
        "e3x.nn.modules:MessagePass",
        "graphs",
        lambda kind: (
            kind(max_degree=1),
            (normal(4, 1, 4, 2), normal(5, 1, 4, 3)),
            {"dst_idx": integers(5, below=4), "src_idx": integers(5, below=4)},
        ),
    ),
)
