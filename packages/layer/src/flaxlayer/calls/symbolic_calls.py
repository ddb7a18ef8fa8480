"""What a call with Keras tensors returns, by abstract evaluation (A5)."""

from __future__ import annotations

from collections.abc import Sequence

from flaxlayer.calls.output_forms import OutputForm
from flaxlayer.calls.runner import Runner
from flaxlayer.explained_errors import raise_explained
from flaxlayer.inputs import array_specs
from flaxlayer.typing import Array
from flaxlayer_core import ArgumentStructure

__all__ = ["infer_output_form"]


def infer_output_form(
    runner: Runner, arrays: Sequence[Array], structure: ArgumentStructure, training: bool | None
) -> OutputForm:
    """Returns the outputs of a symbolic call of a layer, found out for the first of its form.

    Args:
        runner: Runs the method of the layer.
        arrays: The arrays of the arguments: Keras tensors, with unknown dimensions.
        structure: Their structure.
        training: The mode.
    """
    cache, mode = runner.cache, bool(training)
    inputs = cache.meant(array_specs(arrays))
    key = (structure, tuple(inputs), mode, runner.hosted.compute_dtype)
    form = cache.output_forms.get(key)
    if form is None:
        try:
            form = OutputForm.of(
                inputs, lambda abstract: runner.evaluate(structure, abstract, mode)
            )
        except Exception as error:
            raise_explained(error, runner.title)
        cache.output_forms[key] = form
    return form
