"""Errors that a module raises, on their way through Keras (A9).

Keras makes a new error of the same class from one text for each that leaves `Layer.call`. Many
classes cannot be made so, those of JAX among them, or lose their words and fields then. Such an
error is passed on as the object that it is, marked, with what helps added to it.
"""

from __future__ import annotations

import types
from typing import NoReturn

import jax

from flaxlayer.compat import private_keras
from flaxlayer_core import UNTRACEABLE, BuildModuleError, FlaxLayerError, RunModuleError

__all__ = ["JAX_ERRORS", "explained", "raise_explained"]

JAX_ERRORS: tuple[type[Exception], ...] = tuple(
    found
    for found in vars(jax.errors).values()
    if isinstance(found, type) and issubclass(found, Exception)
)
_LIBRARIES = ("builtins", "flax", "flaxlayer_core", "jax", "jaxlib", "keras", "numpy")
_VALUE_NEEDED = (
    "It needs the value of an array while the call is traced: by fit, evaluate, predict or a "
    "functional model, or by jax.jit, jax.vmap or jax.checkpoint. Outside of traces it runs op by "
    "op.",
    "Write the branch with jax.lax.cond, jax.lax.while_loop or jnp.where; give what decides it as "
    "a Python value, which is static; or, for predict alone, use compile(run_eagerly=True).",
)
_ESCAPED = (
    "A traced array has left the call that made it, by a side effect: an attribute, a global or a "
    "closure of the module keeps it.",
    "Keep it in a variable of the module, sow it, or return it.",
)


def explained(error: Exception, title: str) -> Exception:
    """Returns the error to raise for one that a module raised.

    Args:
        error: What was raised.
        title: The layer and its method.

    Returns:
        The error itself, so that its class, words and fields stay: one of JAX with the layer and
        what to do in its text, any other with the layer in a note. A `RunModuleError` with its
        words where Keras would lose them and the error cannot be marked.

    Example:

    ```python
    >>> import jax.numpy as jnp
    >>> try:
    ...     jax.jit(bool)(jnp.ones(()))
    ... except jax.errors.ConcretizationTypeError as error:
    ...     print(str(explained(error, "Layer 'net' (Net.__call__)")).splitlines()[-2])
    Layer 'net' (Net.__call__) raised this. It needs the value of ...

    ```
    """
    error = _beneath(error)
    if private_keras.keeps_message(error):  # explained on an inner level
        return error
    own = isinstance(error, FlaxLayerError)
    if not own and not isinstance(error, JAX_ERRORS) and _survives_keras(error):
        return error
    if not private_keras.keep_message(error):
        return _told_instead(error, title)
    if isinstance(error, JAX_ERRORS):
        _add_text(error, title)
    elif not own:
        error.add_note(f"{title} raised this.")
    return error


def _beneath(error: Exception) -> Exception:
    # What JAX says of tracing, and the classes of the user's own, are for others to catch.
    cause = error.__cause__
    if not isinstance(error, BuildModuleError) or not isinstance(cause, Exception):
        return error
    told = isinstance(cause, (*UNTRACEABLE, jax.errors.UnexpectedTracerError))
    return cause if told or type(cause).__module__.split(".")[0] not in _LIBRARIES else error


def raise_explained(error: Exception, title: str) -> NoReturn:
    """Raises what `explained` makes of an error that is being handled.

    Args:
        error: What was raised.
        title: The layer and its method.
    """
    told = explained(error, title)
    if told is error:
        raise error
    raise told from (None if told is error.__cause__ else error)


def _told_instead(error: Exception, title: str) -> RunModuleError:
    told = RunModuleError(
        f"{title} raised {type(error).__name__}: {error}",
        fix="Correct what the module does, or what it is given.",
        law="A9",
    )
    private_keras.keep_message(told)
    return told


def _add_text(error: Exception, title: str) -> None:
    what, fix = "", ""
    if isinstance(error, UNTRACEABLE):
        what, fix = _VALUE_NEEDED
    elif isinstance(error, jax.errors.UnexpectedTracerError):
        what, fix = _ESCAPED
    lines = [str(error), f"{title} raised this. {what}".rstrip(), *([f"Fix: {fix}"] if fix else ())]
    error.args = ("\n".join(lines), *error.args[1:])


def _survives_keras(error: Exception) -> bool:
    # What Keras makes of it has its class and its words: a plain class, one text, nothing else.
    cls = type(error)
    plain = (
        isinstance(cls.__init__, types.WrapperDescriptorType)
        and isinstance(cls.__new__, types.BuiltinFunctionType)
        and isinstance(cls.__str__, types.WrapperDescriptorType)
    )
    fields = set(getattr(error, "__dict__", ())) - {"__notes__"}
    return plain and not fields and len(error.args) == 1 and isinstance(error.args[0], str)
