"""flax-gated-linear-rnn: gated linear recurrence over sequences."""

from conformance.field.entry import Published, normal

ENTRIES = (
    Published(
        "flax-gated-linear-rnn",
        "flax_gated_linear_rnn.gated_linear_rnn:GatedLinearRNN",
        "sequences",
        lambda kind: (kind(d_model=4, d_h=6), (normal(2, 5, 4),)),
    ),
)
