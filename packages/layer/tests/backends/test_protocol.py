"""Each backend has what the layer asks of one, and no other backend is taken (K1)."""

import importlib
import inspect

import keras
import pytest

from flaxlayer import backends
from flaxlayer.backends.protocol import Backend
from flaxlayer_core import SelectBackendError

pytestmark = pytest.mark.law("K1")

BACKENDS = {
    "jax": ("jax", "JaxBackend"),
    "tensorflow": ("tensorflow.backend", "TensorFlowBackend"),
    "torch": ("torch.torch_backend", "TorchBackend"),
}
ASKED = {name: value for name, value in vars(Backend).items() if inspect.isfunction(value)}
ASKED = {name: value for name, value in ASKED.items() if name[0] != "_"}


# torch takes long to import.
@pytest.fixture(params=["jax", "tensorflow", pytest.param("torch", marks=pytest.mark.slow)])
def backend(request):
    if request.param != "jax":
        pytest.importorskip(request.param)
    module, name = BACKENDS[request.param]
    return request.param, getattr(importlib.import_module(f"flaxlayer.backends.{module}"), name)


def parameters(function):
    kinds = inspect.signature(function).parameters.values()
    return [(parameter.name, parameter.kind, parameter.default) for parameter in kinds]


def test_a_backend_takes_what_is_asked_of_it_under_the_same_names(backend):
    assert {"compile", "describe", "keep", "preflight"} <= ASKED.keys()
    _, cls = backend
    for name, asked in ASKED.items():
        assert parameters(vars(cls)[name]) == parameters(asked), name


def test_a_backend_tells_its_facts_and_has_no_method_beside(backend):
    name, cls = backend
    made = cls()
    assert type(made.compiles_traces) is bool
    for kinds in (made.array_types, made.dtype_types):
        assert kinds and all(isinstance(kind, type) for kind in kinds)
    assert made.traced_by == name
    public = {name for name, value in vars(cls).items() if name[0] != "_" and callable(value)}
    assert public == ASKED.keys()


def test_the_backend_of_keras_is_taken():
    assert current_name() == BACKENDS[keras.backend.backend()][1]


def current_name():
    return type(backends.current_backend()).__name__


def test_a_backend_without_a_part_of_its_own_is_refused(monkeypatch):
    backends.current_backend.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(keras.backend, "backend", lambda: "openvino")
        with pytest.raises(SelectBackendError, match="KERAS_BACKEND") as caught:
            backends.current_backend()
    assert caught.value.found == "openvino"
    assert current_name() == BACKENDS[keras.backend.backend()][1]
