"""What is known of a module: the structure of what it stores and returns (A5, C1)."""

import flax.linen as nn
import pytest

from flaxlayer_core import (
    Static,
)
from packages.core.tests.discovery.examples import (
    Returns,
    X,
)


@pytest.mark.law("C1")
@pytest.mark.parametrize("box", [nn.with_partitioning, nn.with_logical_partitioning])
def test_boxes_stay_in_the_structure_and_out_of_the_paths(examined, box):
    found = examined(nn.Dense(3, kernel_init=box(nn.initializers.ones, ("a", "b"))), X)
    assert found.layout.paths == [("params", "bias"), ("params", "kernel")]
    assert found.variables["params"]["kernel"].names == ("a", "b")


@pytest.mark.law("A5")
@pytest.mark.parametrize("value", ["relu", 3, None, True], ids=repr)
def test_outputs_that_are_no_arrays_are_part_of_the_structure(examined, value):
    output = examined(Returns(value), X).training.output
    assert output["value"] == (None if value is None else Static(value))
