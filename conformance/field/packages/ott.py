"""ott-jax: neural potentials and velocity fields of optimal transport."""

from functools import partial

import numpy as np

from conformance.field.entry import Published, normal

ENTRIES = (
    Published(
        "ott-jax",
        "ott.neural.networks.potentials:PotentialMLP",
        "flows and transport",
        lambda kind: (kind(dim_hidden=(6, 4)), (normal(4, 3),)),
    ),
    Published(
        "ott-jax",
        "ott.neural.networks.layers.posdef:PosDefPotentials",
        "flows and transport",
        lambda kind: (kind(num_potentials=3, rank=1), (normal(4, 3),)),
    ),
    Published(
        "ott-jax",
        "ott.neural.networks.velocity_field.mlp:MLP",
        "flows and transport",
        lambda kind: (
            partial(kind, dim=3, hidden_dims=(6,)),
            (np.linspace(0, 1, 4, dtype=np.float32), normal(4, 3)),
        ),
    ),
)
