"""Training and inference of an nnx module, as its own attributes tell them (A2)."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping

from flax import nnx

from flaxlayer_core.modules.nnx.graph import inner_modules
from flaxlayer_core.typing import Function

__all__ = ["has_mode", "set_modes"]

# What nnx.Module.train and eval set, whatever an attribute holds.
_OF_FLAX = ("deterministic", "use_running_average")


def set_modes(modules: Iterable[nnx.Module], modes: Mapping[str, bool]) -> None:
    """Sets the attributes of modules that tell the mode.

    Args:
        modules: A module and those inside it, which are changed.
        modes: Values by the name of an attribute. `deterministic` and `use_running_average` are
            set wherever they are, as `nnx.Module.train` does it; others where they hold a bool, or
            where a module takes them in `set_view`, as `nnx.view` does it.

    Example:

    ```python
    >>> dropout = nnx.Dropout(0.5)
    >>> set_modes([dropout], {"deterministic": True, "training": False})
    >>> dropout.deterministic
    True

    ```
    """
    for inner in modules:
        for name, value in modes.items():
            if _is_attribute(inner, name):
                setattr(inner, name, value)
        _set_view(inner, modes)


def has_mode(module: nnx.Module, name: str) -> bool:
    """Tells whether `set_modes` would set an attribute.

    Args:
        module: The module.
        name: The name of the attribute.

    Returns:
        True if it or a module inside has it.

    Example:

    ```python
    >>> has_mode(nnx.Sequential(nnx.Dropout(0.5)), "deterministic")
    True

    ```
    """
    return any(
        _is_attribute(inner, name) or name in _viewed(inner) for inner in inner_modules(module)
    )


def _is_attribute(module: nnx.Module, name: str) -> bool:
    if name in _OF_FLAX:
        return hasattr(module, name)
    return isinstance(vars(module).get(name), bool)


def _viewed(module: nnx.Module) -> frozenset[str]:
    view: Function | None = getattr(module, "set_view", None)
    return frozenset(inspect.signature(view).parameters) if view is not None else frozenset()


def _set_view(module: nnx.Module, modes: Mapping[str, bool]) -> None:
    # The modules of Flax itself only set the attributes that are set already.
    view: Function | None = getattr(module, "set_view", None)
    taken = {name: modes[name] for name in _viewed(module) & (modes.keys() - set(_OF_FLAX))}
    if view is not None and taken:
        view(**taken)
