"""flaxdiff: networks of diffusion models."""

from conformance.field.entry import Published, normal

ENTRIES = (
    Published(
        "flaxdiff",
        "flaxdiff.models.attention:NormalAttention",
        "diffusion",
        lambda kind: (kind(query_dim=4, heads=2, dim_head=2), (normal(2, 2, 2, 4),)),
    ),
    Published(
        "flaxdiff",
        "flaxdiff.models.common:WeightStandardizedConv",
        "diffusion",
        lambda kind: (kind(features=3), (normal(2, 4, 4, 2),)),
    ),
    Published(
        "flaxdiff",
        "flaxdiff.models.vit_common:AdaLNZero",
        "diffusion",
        lambda kind: (kind(features=4), (normal(2, 3, 4), normal(2, 1, 4))),
    ),
    Published(
        "flaxdiff",
        "flaxdiff.models.ssm_dit:S5Layer",
        "diffusion",
        lambda kind: (kind(features=4, state_dim=3), (normal(2, 5, 4),)),
    ),
)
