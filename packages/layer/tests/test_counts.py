import flax.linen as nn
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer.counts import check_count
from flaxlayer_core import CallArgumentError


@pytest.mark.parametrize("number", [3, np.int32(3), np.array(3)], ids=["int", "numpy", "array"])
def test_whole_numbers_are_counts(number):
    count = check_count(number, "keep", owner="A run")
    assert (type(count), count) == (int, 3)


@pytest.mark.parametrize(
    "number",
    [0, -3, 2.0, "3", None, True, np.ones(2, int), np.float32(1)],
    ids=["zero", "less", "float", "text", "none", "bool", "array", "numpy_float"],
)
def test_nothing_else_is(number):
    with pytest.raises(CallArgumentError) as caught:
        check_count(number, "keep", owner="A run", law="D3")
    assert caught.value.failed == "A run cannot use this keep."
    assert caught.value.expected == "a whole number, 1 or more"
    assert caught.value.law == "D3"


@pytest.mark.parametrize("name", ["depth", "max_rows", "line_length"])
@pytest.mark.parametrize("number", [0, -3, "x"])
def test_a_summary_refuses_other_numbers_by_name(name, number, capsys):
    layer = FlaxLayer(nn.Dense(2), name="head")
    with pytest.raises(CallArgumentError, match=f"summary of 'head' cannot use this {name}."):
        layer.summary(**{name: number})
    assert capsys.readouterr().out == ""
