"""long-range-models: state space models with complex arithmetic."""

from conformance.field.entry import Published, normal

ENTRIES = (
    Published(
        "long-range-models",
        "long_range_models.lru:LRULayer",
        "sequences",
        lambda kind: (kind(feature_dim=4, state_dim=6), (normal(2, 5, 4),)),
    ),
    Published(
        "long-range-models",
        "long_range_models.s5:S5Layer",
        "sequences",
        lambda kind: (kind(feature_dim=4, state_dim=6), (normal(2, 5, 4),)),
    ),
)
