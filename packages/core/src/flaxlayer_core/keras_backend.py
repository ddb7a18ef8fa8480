"""Which backend Keras is going to run on, read as Keras reads it, without importing Keras.

Keras chooses once, when it is first imported: by the environment variable `KERAS_BACKEND`, else by
its file `keras.json`, else TensorFlow. Where the file is missing, Keras writes it, with its
defaults; a file of that form says what Keras would do anyhow, and nobody chose it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from flaxlayer_core.errors import ImportBackendError
from flaxlayer_core.typing import PyTree

__all__ = ["PlannedBackend", "planned_backend", "prefer_jax", "require_backend"]

_VARIABLE = "KERAS_BACKEND"
_BACKENDS = ("jax", "numpy", "openvino", "tensorflow", "torch")
_WRITTEN_BY_KERAS = {
    "floatx": "float32",
    "epsilon": 1e-7,
    "backend": "tensorflow",
    "image_data_format": "channels_last",
}


@dataclass(frozen=True)
class PlannedBackend:
    """The backend that Keras is going to run on.

    Attributes:
        name: Its name, such as `"jax"`.
        reason: What names it.
        chosen: Whether somebody chose it; false for Keras's default.
    """

    name: str
    reason: str
    chosen: bool


def planned_backend() -> PlannedBackend:
    """Returns the backend that Keras runs on when it is imported now.

    Example:

    ```python
    >>> import os
    >>> from unittest import mock
    >>> with mock.patch.dict(os.environ, KERAS_BACKEND="jax"):
    ...     planned_backend().reason
    'the environment variable KERAS_BACKEND names it'

    ```
    """
    name = os.environ.get(_VARIABLE)
    if name:
        return PlannedBackend(name, f"the environment variable {_VARIABLE} names it", True)
    path = _config_path()
    config = _read(path)
    default = _WRITTEN_BY_KERAS["backend"]
    if config == _WRITTEN_BY_KERAS:
        reason = f"Keras takes it by default, and wrote so into {path}; {_VARIABLE} is not set"
        return PlannedBackend(str(default), reason, False)
    if "backend" in config:
        return PlannedBackend(str(config["backend"]), f"{path} names it", True)
    reason = f"Keras takes it by default; {_VARIABLE} is not set and {path} names no other"
    return PlannedBackend(str(default), reason, False)


def prefer_jax() -> None:
    """Makes Keras run on JAX where nobody chose a backend; for programs, before Keras is imported.

    Example:

    ```python
    >>> prefer_jax()  # Keras is imported here, and keeps its backend

    ```
    """
    if "keras" not in sys.modules and not planned_backend().chosen:
        os.environ[_VARIABLE] = "jax"


def require_backend() -> None:
    """Explains why Keras cannot be imported, where its backend is unknown or not installed.

    Raises:
        ImportBackendError: If it cannot. Nothing was imported then.

    Example:

    ```python
    >>> require_backend()  # what Keras runs on here is installed

    ```
    """
    if "keras" in sys.modules:
        return
    planned = planned_backend()
    if planned.name not in _BACKENDS:
        raise _error(planned, "unknown to Keras")
    if planned.name != "numpy" and importlib.util.find_spec(planned.name) is None:
        raise _error(planned, "not installed")


def _error(planned: PlannedBackend, fault: str) -> ImportBackendError:
    ways = [
        f'in Python, before keras or flaxlayer, import os; os.environ["{_VARIABLE}"] = "jax"',
        f"in the shell, export {_VARIABLE}=jax",
        f'in {_config_path()}, "backend": "jax"',
    ]
    if planned.name == "tensorflow":
        ways.append("or, to run on TensorFlow, pip install 'flaxlayer[tensorflow]'")
    if planned.name == "torch":
        ways.append("or, to run on torch, pip install 'flaxlayer[torch]'")
    return ImportBackendError(
        f"Keras cannot be imported: its backend {planned.name!r} is {fault}.",
        expected=f"{_VARIABLE}=jax, =tensorflow or =torch, and that backend installed",
        found=f"{planned.name}: {planned.reason}",
        fix=f"Choose JAX: {'; '.join(ways)}.",
    )


def _config_path() -> Path:
    # keras/src/backend/config.py, alike in Keras 3.6 and 3.15
    home = os.path.expanduser("~")
    folder = os.path.join(home if os.access(home, os.W_OK) else "/tmp", ".keras")
    return Path(os.path.expanduser(os.environ.get("KERAS_HOME", folder)), "keras.json")


def _read(path: Path) -> dict[str, PyTree]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}
