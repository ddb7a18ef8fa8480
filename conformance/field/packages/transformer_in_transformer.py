"""transformer-in-transformer-flax: a vision transformer of pixels and patches."""

from conformance.field.entry import Published, load, normal


def _config():
    config = load("transformer_in_transformer_flax.tnt:TNTConfig")
    return config(
        num_classes=3,
        depth=1,
        image_size=4,
        patch_size=2,
        transformed_patch_size=1,
        inner_dim=4,
        inner_heads=2,
        inner_dim_head=2,
        inner_r=1,
        outer_dim=6,
        outer_heads=2,
        outer_dim_head=3,
        outer_r=1,
    )


ENTRIES = (
    Published(
        "transformer-in-transformer-flax",
        "transformer_in_transformer_flax.tnt:MlpBlock",
        "vision",
        lambda kind: (kind(_config(), inner=True), (normal(2, 3, 4),)),
        registers=("transformer_in_transformer_flax.tnt:TNTConfig",),
    ),
)
