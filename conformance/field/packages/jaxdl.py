"""jaxdl: networks of deep reinforcement learning."""

from conformance.field.entry import Published, normal

ENTRIES = (
    Published(
        "jaxdl",
        "jaxdl.nn.dnn.mlp:MLP",
        "reinforcement learning",
        lambda kind: (kind((6, 4), dropout_rate=0.2), (normal(4, 3),)),
    ),
    Published(
        "jaxdl",
        "jaxdl.rl.networks.critic_nets:DoubleCriticNetwork",
        "reinforcement learning",
        lambda kind: (kind((6, 4)), (normal(4, 3), normal(4, 2))),
        registers=("jaxdl.nn.dnn.mlp:forward_mlp_fn",),
    ),
)
