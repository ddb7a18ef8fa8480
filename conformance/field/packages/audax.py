"""audax: learned front ends of audio, and classifiers."""

from conformance.field.entry import Published, normal

ENTRIES = (
    Published(
        "audax",
        "audax.models.layers.efficientnet_helpers:SqueezeAndExcitation",
        "audio",
        lambda kind: (kind(input_channels=4, squeeze_channels=2), (normal(2, 3, 3, 4),)),
    ),
    Published(
        "audax",
        "audax.models.convnext:ConvNeXtBlock",
        "audio",
        lambda kind: (kind(dim=4, drop_path=0.1), (normal(2, 4, 4, 4),)),
    ),
)
