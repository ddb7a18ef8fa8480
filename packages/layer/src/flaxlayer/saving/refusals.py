"""Whatever goes wrong while a file is loaded ends in one of our errors, which Keras passes on (S6).

Keras makes an error of its own, with the whole configuration in its text, of each `TypeError` that
leaves a `from_config`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

from flaxlayer.compat import keras_loads
from flaxlayer.saving.fields import SAVE_AGAIN
from flaxlayer.typing import Function, Json, PyTree
from flaxlayer_core import DecodeModuleError, FlaxLayerError, explain

__all__ = ["refusing", "refusing_in_load"]


@contextlib.contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turns what is raised inside into an error of ours that is no `TypeError`.

    Args:
        what: What is made of a configuration, for the message.
    """
    try:
        yield
    except FlaxLayerError as error:
        if not isinstance(error, TypeError):
            raise
        parts = {part: getattr(error, part) for part in ("expected", "found", "fix", "law")}
        raise DecodeModuleError(error.failed, **parts) from error
    except Exception as error:  # Keras and what a user wrote may refuse in any way
        raise DecodeModuleError(
            f"The stored configuration of a layer is refused: {what} cannot be made of it.",
            expected="what a layer stores",
            found=explain(error),
            fix=SAVE_AGAIN,
            law="S6",
        ) from error


def refusing_in_load(method: Function) -> Function:
    """Lets a method of a layer raise what `refusing` makes of its errors, where Keras loads."""

    @functools.wraps(method)
    def run(layer: Any, *args: PyTree, **kwargs: PyTree) -> Json:
        try:
            return method(layer, *args, **kwargs)
        except Exception:
            if keras_loads.current_load() is None:
                raise
            with refusing(f"layer {layer.name!r}"):
                raise

    return run
