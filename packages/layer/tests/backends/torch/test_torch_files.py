"""Files know no backend: what one saves the other loads (S4, W3, K1)."""

import pytest

from packages.layer.tests.backends.crossing import cross, keep_dtypes

pytestmark = pytest.mark.law("K1")


@pytest.mark.parametrize("other", ["jax", "tensorflow"])
def test_a_trained_model_goes_to_another_backend_and_back(tmp_path, other):
    cross(tmp_path, "torch", other)


def test_weights_keep_their_dtypes_in_a_file(tmp_path):
    keep_dtypes(tmp_path)
