"""transformers: BERT, ViT and Whisper, of the last version with Flax."""

import numpy as np

from conformance.field.entry import Published, integers, load, normal


def _bert():
    return load("transformers:BertConfig")(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=8,
    )


def _vit():
    return load("transformers:ViTConfig")(
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        image_size=4,
        patch_size=2,
        hidden_dropout_prob=0.1,
    )


def _whisper():
    return load("transformers:WhisperConfig")(
        d_model=8, encoder_attention_heads=2, encoder_ffn_dim=8, num_mel_bins=4, dropout=0.1
    )


ENTRIES = (
    Published(
        "transformers",
        "transformers.models.bert.modeling_flax_bert:FlaxBertEmbeddings",
        "language",
        lambda kind: (
            kind(_bert()),
            (
                integers(3, 5, below=20),
                integers(3, 5, below=2),
                np.tile(np.arange(5, dtype=np.int32), (3, 1)),
                np.ones((3, 5), np.int32),
            ),
        ),
        registers=("transformers:BertConfig",),
    ),
    Published(
        "transformers",
        "transformers.models.vit.modeling_flax_vit:FlaxViTModule",
        "vision",
        lambda kind: (kind(_vit()), (normal(2, 4, 4, 3),)),
        registers=("transformers:ViTConfig",),
    ),
    Published(
        "transformers",
        "transformers.models.whisper.modeling_flax_whisper:FlaxWhisperEncoderLayer",
        "audio",
        lambda kind: (kind(_whisper()), (normal(2, 5, 8), np.ones((2, 5), np.int32))),
        registers=("transformers:WhisperConfig",),
    ),
)
