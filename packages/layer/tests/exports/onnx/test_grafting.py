"""A graph stands in the place of an operation, with its weights, and without what nothing needs."""

import numpy as np
import pytest

from flaxlayer.exports.onnx.grafting import DOMAIN, calls, graft

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnx_ir")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import helper, numpy_helper  # noqa: E402

FLOAT, OPSETS = onnx.TensorProto.FLOAT, [helper.make_opsetid("", 18)]
WEIGHT = np.array([2.0, 3.0], np.float32)


def value(name, shape=("batch", 2)):
    return helper.make_tensor_value_info(name, FLOAT, shape)


def model_of(nodes, inputs, outputs, weights=()):
    initializers = [numpy_helper.from_array(array, name) for name, array in weights]
    graph = helper.make_graph(
        nodes, "graph", list(map(value, inputs)), list(map(value, outputs)), initializers
    )
    return helper.make_model(graph, opset_imports=OPSETS, ir_version=9)


def call_of(token, inputs, outputs):
    return helper.make_node("PyFunc", inputs, outputs, domain=DOMAIN, token=token)


@pytest.fixture
def host():
    """Two calls beside an operation of its own; of the first one the second result is not used."""
    nodes = [
        call_of("first", ["x"], ["a", "unused"]),
        call_of("second", ["a"], ["b"]),
        helper.make_node("Add", ["b", "x"], ["y"]),
    ]
    return model_of(nodes, ["x"], ["y"])


def scaled():
    """A part whose only weight has the name that it has in every other one."""
    nodes = [helper.make_node("Mul", ["input", "weight"], ["output"])]
    return model_of(nodes, ["input"], ["output"], [("weight", WEIGHT)])


def test_calls_are_found_by_name_with_what_is_used_of_their_results(host):
    assert [(call.name, call.used) for call in calls(host)] == [("first", (0,)), ("second", (0,))]


def test_a_result_that_is_a_result_of_the_model_is_used():
    host = model_of([call_of("only", ["x"], ["a", "y"])], ["x"], ["y"])
    assert [call.used for call in calls(host)] == [(1,)]


def test_other_domains_are_no_calls():
    host = model_of([helper.make_node("Neg", ["x"], ["y"])], ["x"], ["y"])
    assert calls(host) == []


def test_the_whole_computes_what_its_parts_do(host):
    import onnx_ir as ir

    model = graft(host, [(call, scaled()) for call in calls(host)], [("batch", 2)])
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto)
    assert {node.domain for node in proto.graph.node} == {""}
    assert not proto.functions
    assert [numpy_helper.to_array(each).tolist() for each in proto.graph.initializer] == [
        [2.0, 3.0]
    ]
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    x = np.array([[1.0, 1.0], [0.5, -1.0]], np.float32)
    np.testing.assert_allclose(session.run(None, {"x": x})[0], x * WEIGHT * WEIGHT + x)


def test_inputs_get_the_names_of_their_unknown_sizes(host):
    model = graft(host, [(call, scaled()) for call in calls(host)], [("rows", 2)])
    assert str(model.graph.inputs[0].shape[0]) == "rows"
