"""fuzzy-tiling-activation: activations for reinforcement learning, without params."""

from conformance.field.entry import Published, normal

ENTRIES = (
    Published(
        "fuzzy-tiling-activation",
        "fta.jax:FTA",
        "reinforcement learning",
        lambda kind: (
            kind(bound=2.0, spillover_base=0.5, spillover_mode="raw", num_tiles=4),
            (normal(3, 2),),
        ),
    ),
)
