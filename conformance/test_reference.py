"""The README's table holds: our layer does each thing, and the reference fails as it says."""

import pathlib

import flax
import keras
import pytest

from conformance.reference import CASES, readme_table
from conformance.reference_layer import KERAS, MISSING
from flaxlayer import FlaxLayer

FLAX = tuple(map(int, flax.__version__.split(".")[:2]))
RUN_HERE = [case for case in CASES if case.flax <= FLAX]
README = pathlib.Path(__file__).parents[1] / "README.md"


@pytest.mark.parametrize("case", RUN_HERE, ids=lambda case: case.run.__name__)
def test_our_layer_does_what_the_table_says(case):
    case.run(FlaxLayer)


@pytest.mark.skipif(MISSING, reason="since Keras 3.14 the reference needs TensorFlow")
@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask:UserWarning")
@pytest.mark.parametrize("case", RUN_HERE, ids=lambda case: case.run.__name__)
def test_the_reference_fails_as_the_table_says(case):
    if case.since > KERAS:
        case.run(keras.layers.FlaxLayer)
        return
    with pytest.raises(case.error) as caught:
        case.run(keras.layers.FlaxLayer)
    assert case.fragment in str(caught.value)


def test_the_table_in_the_readme_is_this_list():
    assert readme_table() in README.read_text()
