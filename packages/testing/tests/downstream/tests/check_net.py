"""The module runs in Keras as it does in Flax."""

import numpy as np
from downstream import Net

from flaxlayer_testing import parametrize_checks, run_check

X = np.linspace(-1.0, 1.0, 6, dtype=np.float32).reshape(2, 3)
NAMES = ["check_inference", "check_training", "check_state_training"]


@parametrize_checks([(Net(), X)], only=NAMES)
def test_net(subject, check):
    run_check(subject, check)
