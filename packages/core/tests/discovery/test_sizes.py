"""The search over unknown sizes (B1)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer_core import ArraySpec, BuildModuleError, NoSizeFitsError, first_that_fits
from flaxlayer_core.discovery.sizes import infer_output_specs


@pytest.mark.law("B1")
def test_outputs_keep_unknown_dimensions_unknown():
    specs = [ArraySpec((None, 3), np.dtype("float32"))]

    def run(arrays):
        return jax.eval_shape(lambda x: {"t": x.T, "sum": x.sum(), "row": x[0]}, *arrays)

    outputs = infer_output_specs(specs, run)
    assert {name: str(out) for name, out in outputs.items()} == {
        "t": "float32[3,?]",
        "sum": "float32[]",
        "row": "float32[3]",
    }


@pytest.mark.law("B1")
def test_outputs_of_filled_in_dimensions_are_unknown_where_they_vary():
    specs = [ArraySpec((None, None, 3), np.dtype("float32"))]

    def run(arrays):
        return jax.eval_shape(lambda x: x.reshape(int(x.shape[0]) * int(x.shape[1]), 3), *arrays)

    assert str(infer_output_specs(specs, run)) == "float32[?,3]"


@pytest.mark.law("B1")
def test_outputs_of_known_inputs_are_known():
    run = lambda arrays: jax.eval_shape(jnp.transpose, *arrays)  # noqa: E731
    assert str(infer_output_specs([ArraySpec((2, 3), np.dtype("int32"))], run)) == "int32[3,2]"


def _fails_but_for(size):
    def run(choice):
        if choice != size:
            raise ValueError(f"not {choice}")
        return choice

    return run


@pytest.mark.law("B1")
def test_the_first_choice_that_runs_is_taken():
    assert first_that_fits([1, 2, 3], _fails_but_for(2)) == 2


@pytest.mark.law("B1")
def test_what_all_choices_failed_with_is_kept_in_order():
    with pytest.raises(NoSizeFitsError, match="ValueError: not 1") as caught:
        first_that_fits([1, 2], _fails_but_for(3))
    assert [(choice, str(error)) for choice, error in caught.value.failures] == [
        (1, "not 1"),
        (2, "not 2"),
    ]


@pytest.mark.law("B1")
def test_an_error_of_ours_is_none_of_the_sizes():
    tried = []

    def run(choice):
        tried.append(choice)
        raise BuildModuleError("No.", expected="a", found="b", fix="c", law="B1")

    with pytest.raises(BuildModuleError):
        first_that_fits([1, 2], run)
    assert tried == [1]


@pytest.mark.law("B1")
def test_a_caller_says_which_failures_are_of_the_sizes():
    tried = []

    def run(choice):
        tried.append(choice)
        raise ValueError

    with pytest.raises(ValueError):
        first_that_fits([1, 2, 3], run, passes_over=lambda error, choice: choice < 2)
    assert tried == [1, 2]
