"""lpips-nnx: perceptual distances of images."""

from functools import partial

from conformance.field.entry import Published, normal

ENTRIES = (
    Published(
        "lpips-nnx",
        "lpips_nnx.netlin:NetLinLayer",
        "vision",
        lambda kind: (partial(kind, 4, use_dropout=True), (normal(2, 3, 3, 4),)),
    ),
)
