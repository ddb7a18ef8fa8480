"""netket: neural quantum states."""

import jax.numpy as jnp

from conformance.field.entry import Published, normal

ENTRIES = (
    Published(
        "netket",
        "netket.models:RBM",
        "physics",
        lambda kind: (kind(alpha=1, param_dtype=jnp.float32), (normal(3, 4),)),
    ),
    Published(
        "netket",
        "netket.models:Jastrow",
        "physics",
        lambda kind: (kind(param_dtype=jnp.float32), (normal(3, 4),)),
    ),
    Published(
        "netket",
        "netket.models:MLP",
        "physics",
        lambda kind: (kind(hidden_dims=(5,), param_dtype=jnp.float32), (normal(3, 4),)),
    ),
)
