"""flaxmodels: ResNet, GPT-2 and StyleGAN2."""

import jax

from conformance.field.entry import Published, load, normal


def _gpt2():
    return load(
        "flaxmodels.gpt2.third_party.huggingface_transformers.configuration_gpt2:GPT2Config"
    )(vocab_size=7, n_positions=6, n_embd=4, n_layer=1, n_head=2)


ENTRIES = (
    Published(
        "flaxmodels",
        "flaxmodels.resnet.ops:BatchNorm",
        "vision",
        lambda kind: (kind(), (normal(2, 3, 3, 2),)),
    ),
    Published(
        "flaxmodels",
        "flaxmodels.stylegan2.ops:LinearLayer",
        "vision",
        lambda kind: (
            kind(in_features=4, out_features=3, rng=jax.random.PRNGKey(0)),
            (normal(2, 4),),
        ),
    ),
    Published(
        "flaxmodels",
        "flaxmodels.few_shot_gan_adaption.discriminator:DiscriminatorLayer",
        "vision",
        lambda kind: (kind(fmaps=3, activation="leaky_relu"), (normal(2, 4, 4, 2),)),
    ),
)
