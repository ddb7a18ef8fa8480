"""What Keras's exports know and hold is what ours take it for."""

import keras
import numpy as np
import pytest

from flaxlayer.compat import keras_exports as compat


def test_the_signature_of_a_model_has_its_inputs_of_any_batch_size():
    pytest.importorskip("keras.src.export.export_utils", reason="this Keras cannot tell")
    inputs = keras.Input((3,), name="a"), keras.Input((None,), dtype="int32", name="b")
    model = keras.Model(inputs, inputs[0] + 1.0)
    (found,) = compat.model_signature(model)
    assert [(spec.name, spec.shape, spec.dtype) for spec in found] == [
        ("a", (None, 3), "float32"),
        ("b", (None, None), "int32"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("trainable", [True, False])
def test_a_variable_of_tensorflow_that_is_added_is_written(trainable, tmp_path):
    tensorflow = pytest.importorskip("tensorflow")
    archive, variable = keras.export.ExportArchive(), tensorflow.Variable(3.0, name="scale")
    compat.hold_variable(archive, variable, trainable=trainable)
    assert [len(archive.trainable_variables), len(archive.non_trainable_variables)] == [
        trainable,
        not trainable,
    ]
    specs = [tensorflow.TensorSpec((2,))]
    scale = tensorflow.function(lambda x: x * variable, input_signature=specs, autograph=False)
    scale(tensorflow.ones(2))
    archive.add_endpoint("serve", scale)
    archive.write_out(str(tmp_path), verbose=False)
    variable.assign(5.0)
    artifact = tensorflow.saved_model.load(str(tmp_path))
    np.testing.assert_array_equal(artifact.serve(tensorflow.ones(2)), [3.0, 3.0])
    assert len(artifact.variables) == 1
