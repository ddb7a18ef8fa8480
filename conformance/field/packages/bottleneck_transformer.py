"""bottleneck-transformer-flax: attention in residual networks."""

from conformance.field.entry import Published, load, normal


def _config():
    config = load("bottleneck_transformer_flax.botnet:BoTNetConfig")
    return config(stage_sizes=(1,), num_heads=2, head_dim=3)


ENTRIES = (
    Published(
        "bottleneck-transformer-flax",
        "bottleneck_transformer_flax.botnet:BoTMHSA",
        "vision",
        lambda kind: (kind(_config()), (normal(2, 3, 3, 4),)),
        registers=("bottleneck_transformer_flax.botnet:BoTNetConfig",),
    ),
)
