"""What the tests of exports share about the backend that has none."""

import pytest

# packages/layer/tests/backends/torch/test_torch_call.py has the refusals.
REFUSED_ON_TORCH = pytest.mark.not_on("torch", "an export is refused there, by name")
