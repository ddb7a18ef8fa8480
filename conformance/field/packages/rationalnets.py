"""rationalnets: rational activation functions."""

from conformance.field.entry import Published, normal

ENTRIES = (
    Published(
        "rationalnets",
        "rationalnets.rational:RationalMLP",
        "other",
        lambda kind: (kind((4, 3)), (normal(3, 2),)),
    ),
)
