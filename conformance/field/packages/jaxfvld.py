"""jaxfvld: structures of antibodies."""

import numpy as np

from conformance.field.entry import Published, normal, on
from flaxlayer_testing import ExpectedFailure

ENTRIES = (
    Published(
        "jaxfvld",
        "jaxfvld.model.ipa:IPA",
        "biology",
        lambda kind: (
            kind(c_s=4, c_z=3, n_head=2, c_hidden=3, n_qk_points=2, n_v_points=2),
            (
                normal(5, 4),
                normal(5, 5, 3),
                np.tile(np.eye(3, dtype=np.float32), (5, 1, 1)),
                normal(5, 3),
            ),
            {"mask": np.ones(5, np.float32)},
        ),
        known=on(
            jax=(
                ExpectedFailure(
                    "check_gradients",
                    "ParityError",
                    "gradients of inputs/4 differs in value",
                    "In `stateless_call` the gradient by a floating `mask` that the caller gives "
                    "is zero: a fault of flaxlayer, to be mended.",
                    ("jaxfvld 0.1.0",),
                ),
            )
        ),
    ),
    Published(
        "jaxfvld",
        "jaxfvld.model.pair:TriMul",
        "biology",
        lambda kind: (kind(c_z=4, c_hidden=3), (normal(5, 5, 4), np.ones((5, 5), np.float32))),
    ),
)
