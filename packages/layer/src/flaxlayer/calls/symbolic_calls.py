"""What a call with Keras tensors returns, by abstract evaluation (A5)."""

from __future__ import annotations

from collections.abc import Sequence

from flaxlayer.calls.output_forms import OutputForm
from flaxlayer.calls.runner import Runner
from flaxlayer.compat.keras_summaries import shown_as_unknown
from flaxlayer.explained_errors import raise_explained
from flaxlayer.inputs import BuildInputs, array_specs, keras_tensor
from flaxlayer.typing import Array, PyTree
from flaxlayer_core import ArgumentStructure

__all__ = ["infer_output_form", "summary_shapes"]


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


def summary_shapes(runner: Runner, inputs: BuildInputs) -> PyTree:
    """Returns the shapes of outputs as Keras's summary of a model can write them.

    Args:
        runner: Runs the method of the layer.
        inputs: What the layer was built for.

    Returns:
        In the form of the outputs, where that is one that Keras knows; else a list.

    Raises:
        NotImplementedError: If they are not known: the summary shows a question mark then.
    """
    tensors = list(map(keras_tensor, inputs.specs))
    try:
        form = infer_output_form(runner, tensors, inputs.structure, False)
    except Exception as error:  # of the module, such as one that branches on values
        raise shown_as_unknown(error) from error
    shapes = [spec.shape for spec in form.specs]
    return form.outline.fill(shapes) if form.is_plain else shapes
