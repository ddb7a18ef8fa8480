"""A recording keeps the programs of a graph by name, as functions of what is not known."""

import jax
import numpy as np
import pytest
import tensorflow as tf

from flaxlayer.backends.tensorflow.recording import current_recording, recording

ABSTRACT = [jax.ShapeDtypeStruct((2,), "float32")]


def weighted(x, scale):
    return [np.asarray(x) * np.asarray(scale)]


def graph_of(run):
    signature = [tf.TensorSpec((2,), name="x")]
    return tf.function(run, input_signature=signature, autograph=False).get_concrete_function()


def keep(x, scale):
    (result,) = current_recording().keep(weighted, [x, scale], outputs=ABSTRACT, title="Net")
    return result


def test_what_the_graph_knows_becomes_part_of_the_program():
    with recording() as record:
        graph = graph_of(lambda x: keep(x, tf.constant([2.0, 3.0])))
    ((name, program),) = record.programs.items()
    (operation,) = [op for op in graph.graph.get_operations() if op.type == "PyFunc"]
    assert operation.get_attr("token").decode() == name
    assert program.title == "Net"
    assert [str(spec) for spec in program.inputs] == ["float32[2]"]
    np.testing.assert_array_equal(program.function(np.ones(2, "float32"))[0], [2.0, 3.0])
    assert graph.structured_outputs.shape == (2,)


def test_a_program_of_known_tensors_alone_is_run():
    with recording() as record:
        graph_of(lambda x: x + keep(tf.ones(2), tf.constant([2.0, 3.0])))
    assert not record.programs


def test_nothing_is_recorded_eagerly_or_after_an_error():
    with recording():
        assert current_recording() is None
    with pytest.raises(KeyError), recording():
        raise KeyError
    found = []
    graph_of(lambda x: found.append(current_recording()) or x)
    assert found == [None]
