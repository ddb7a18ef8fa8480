"""The table of docs/tensorflow.md holds, and the README's holds on TensorFlow too."""

import pathlib

import keras
import pytest

from conformance.reference import CASES as EVERYWHERE
from conformance.reference import table
from conformance.tensorflow.reference import CASES
from flaxlayer import FlaxLayer

DOCS = pathlib.Path(__file__).parents[2] / "docs" / "tensorflow.md"


@pytest.mark.law("K2")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.run.__name__)
def test_our_layer_does_what_the_table_says(case):
    case.run(FlaxLayer)


@pytest.mark.long
@pytest.mark.law("K1")
@pytest.mark.parametrize("case", EVERYWHERE, ids=lambda case: case.run.__name__)
def test_our_layer_does_what_the_readme_says(case):
    case.run(FlaxLayer)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.run.__name__)
def test_the_reference_fails_as_the_table_says(case):
    with pytest.raises(case.error) as caught:
        case.run(keras.layers.FlaxLayer)
    assert case.fragment in str(caught.value)


def test_the_table_in_the_docs_is_this_list():
    assert table(CASES) in DOCS.read_text()
