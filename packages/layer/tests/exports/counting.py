"""A module whose state moves at every call, for tests of what is exported of it."""

import flax.linen as nn
import numpy as np


class Counts(nn.Module):
    """A dense layer, and the number of calls before this one."""

    @nn.compact
    def __call__(self, x):
        count = self.variable("cache", "n", lambda: np.zeros((), np.float32))
        if not self.is_initializing():
            count.value += 1
        return nn.Dense(2)(x) + count.value
