"""Objects of Keras that stand where a Flax module is asked for."""

from __future__ import annotations

import functools

import keras

from flaxlayer_core import AcceptModuleError

__all__ = ["refuse_keras"]

_KINDS = {
    keras.Model: "model",
    keras.layers.Layer: "layer",
    keras.metrics.Metric: "metric",
    keras.losses.Loss: "loss",
    keras.optimizers.Optimizer: "optimizer",
    keras.initializers.Initializer: "initializer",
}


def refuse_keras(module: object) -> None:
    """Refuses an object of Keras in the place of a Flax module, or a class that makes one.

    Keras's objects are called with arrays: a call without arguments would not tell what is wrong.

    Args:
        module: What was given as the module.

    Raises:
        AcceptModuleError: If it is such an object, a class, or a `functools.partial` of one.

    Example:

    ```python
    >>> refuse_keras(keras.layers.Dense(2, name="dense"))
    Traceback (most recent call last):
    ...
    flaxlayer_core.errors.AcceptModuleError: FlaxLayer cannot take this as a module.
    Expected: an unbound instance of flax.linen.Module, or a module of flax.nnx
    Found: the Keras layer Dense 'dense'
    Fix: Use it as it is, among other layers of a model; FlaxLayer is for modules of Flax.

    ```
    """
    made = module
    while isinstance(made, functools.partial):
        made = made.func
    cls = made if isinstance(made, type) else type(made)
    kind = next((text for base, text in _KINDS.items() if issubclass(cls, base)), None)
    if kind is None:
        return
    name = getattr(made, "name", None)
    named = f" {name!r}" if isinstance(name, str) and not isinstance(made, type) else ""
    found = f"the Keras {kind} {cls.__name__}{named}"
    raise AcceptModuleError(
        "FlaxLayer cannot take this as a module.",
        expected="an unbound instance of flax.linen.Module, or a module of flax.nnx",
        found=f"the class of {found}" if isinstance(made, type) else found,
        fix=_fix(made, kind),
    )


def _fix(made: object, kind: str) -> str:
    if hasattr(made, "flax_module"):
        return "Use it as it is; its module is layer.module, other methods are layer.method(...)."
    if kind in ("layer", "model"):
        return "Use it as it is, among other layers of a model; FlaxLayer is for modules of Flax."
    return "Pass a module of Flax; this goes where Keras asks for it."
