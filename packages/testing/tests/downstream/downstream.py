"""A module of a project that uses flaxlayer-testing."""

import flax.linen as nn


class Net(nn.Module):
    """A dense layer with dropout."""

    features: int = 4

    @nn.compact
    def __call__(self, x, train: bool = False):
        """Runs the module."""
        return nn.Dropout(0.5, deterministic=not train)(nn.Dense(self.features)(x))
