"""A process that knows no class of a case: it loads what another process saved (S2, S4).

One process serves all cases, as a start takes seconds: `python -m` of this file reads requests and
writes replies until its input ends.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import pickle
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import IO, Any

import jax
import keras

from flaxlayer import register
from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.errors import KeepLawError, in_short
from flaxlayer_testing.render import pieces
from flaxlayer_testing.render.building import module_of
from flaxlayer_testing.spec.spec import Case
from flaxlayer_testing.subject.keras_parts import global_policy
from flaxlayer_testing.subject.layer import arrays_of, call_model, variables_of

__all__ = ["Loading", "load_afresh", "main"]


@dataclass(frozen=True)
class Loading:
    """What a fresh process is to load.

    Attributes:
        case: The JSON of the case whose classes the file names.
        path: A file of a functional model.
        arrays: What the model is then called with.
        registers: Whether the classes are registered, else they are given to the load alone.
        policy: The global dtype policy, if any.
        layer: The module and the name that the layer's class is imported by.
    """

    case: str
    path: Path
    arrays: Sequence[Any]
    registers: bool
    policy: str | None
    layer: tuple[str, str]


def load_afresh(loading: Loading) -> tuple[list[Any], dict[str, Any]] | None:
    """Loads a model in a fresh process, and calls it there at inference.

    Args:
        loading: What to load.

    Returns:
        The arrays that it gives, and the variables that its layer had before; None where the layer
        cannot be imported there.

    Raises:
        KeepLawError: If it fails there.
    """
    found: Any = _server().ask(loading)
    if isinstance(found, str):
        raise KeepLawError(
            "A fresh process does not load the model.",
            expected="the model, where its classes are known",
            found=found,
            law="S2",
        )
    result: tuple[list[Any], dict[str, Any]] | None = found
    return result


class _Server:
    """The other process, as this one sees it."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "flaxlayer_testing.scenario.fresh_process"]
        # It decides on its backend when it imports Keras.
        environment = {**os.environ, "KERAS_BACKEND": current_backend().name}
        environment["JAX_ENABLE_X64"] = str(int(bool(jax.config.read("jax_enable_x64"))))
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(command, env=environment, **pipes)
        self._lock = threading.Lock()
        atexit.register(self.close)

    def ask(self, request: Any) -> Any:
        """Sends a request, and waits for the reply."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            try:
                _send(self._process.stdin, request)
                return _receive(self._process.stdout)
            except (EOFError, OSError):
                _server.cache_clear()
                return f"the process ended with status {self._process.wait()}"

    def close(self) -> None:
        """Ends the process, whose input ends."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        self._process.wait()


@cache
def _server() -> _Server:
    return _Server()


def _send(stream: IO[bytes], value: Any) -> None:
    data = pickle.dumps(value)
    stream.write(struct.pack("<Q", len(data)) + data)
    stream.flush()


def _receive(stream: IO[bytes]) -> Any:
    head = stream.read(8)
    if len(head) < 8:
        raise EOFError
    return pickle.loads(stream.read(struct.unpack("<Q", head)[0]))


def _classes(case: Case) -> list[Any]:
    module = module_of(case)
    made = module.func if isinstance(module, partial) else type(module)
    return [made, pieces.Side, pieces.Record]


def _loaded(loading: Loading) -> tuple[list[Any], dict[str, Any]] | None:
    module, name = loading.layer
    try:
        layer_class = getattr(importlib.import_module(module), name)
    except ImportError:
        return None
    classes = [layer_class, *_classes(Case.from_json(loading.case))]
    given: dict[str, Any] = {}
    if loading.registers:
        given = {"custom_objects": {layer_class.__name__: layer_class}}
        for kind in classes[1:]:
            register(kind)
    else:
        given = {"custom_objects": {kind.__name__: kind for kind in classes}}
    with global_policy(loading.policy):
        model = keras.models.load_model(loading.path, **given)
        layer = next(part for part in model.layers if hasattr(part, "flax_variables"))
        variables = variables_of(layer)
        outputs = arrays_of(call_model(model, loading.arrays))
    return [*jax.device_get(outputs)], dict(jax.device_get(variables))


def main() -> None:
    """Answers requests until the input ends."""
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed is no reply
    with contextlib.suppress(EOFError):
        while True:
            request = _receive(requests)
            try:
                reply: Any = _loaded(request)
            except Exception as error:  # whatever a load raises is the reply
                reply = in_short(error)
            _send(replies, reply)


if __name__ == "__main__":
    main()
