"""Names in stored configurations: what Keras's registry, its scopes and Keras itself know (S2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import FunctionType, MappingProxyType

import keras

from flaxlayer_core import add_registry, look_up

__all__ = ["find_known", "name_in_keras", "resolve_name"]

# Names in these modules that take configurations apart instead of being stored in one.
_NOT_STORED = frozenset({"deserialize", "get", "serialize"})
_POLICIES = ("DTypePolicy", "FloatDTypePolicy", "QuantizedDTypePolicy")


def _own_names() -> Iterator[tuple[str, object]]:
    rooms = ("initializers", "regularizers", "constraints", "activations")
    for room in rooms:
        for name, value in vars(getattr(keras, room)).items():
            if isinstance(value, (type, FunctionType)) and name not in _NOT_STORED:
                yield f"keras.{room}:{name}", value
    for name in _POLICIES:
        if hasattr(keras.dtype_policies, name):
            yield f"keras.dtype_policies:{name}", getattr(keras.dtype_policies, name)
    yield "keras:DTypePolicy", keras.DTypePolicy  # as Keras itself stores it


_OWN: Mapping[str, object] = MappingProxyType(dict(_own_names()))
_NAMES: Mapping[int, str] = MappingProxyType(
    {id(value): name for name, value in reversed([*_OWN.items()])}
)
# What a process that saved had not registered with Keras has another name in its files.
add_registry(lambda: list(keras.saving.get_custom_objects().values()))


def resolve_name(name: str) -> object | None:
    """Looks a name up in `custom_objects`, Keras's registry and Keras's own; never imports.

    Args:
        name: A registered name such as `"package>Model"`, one of Keras's own such as
            `"keras.initializers:Zeros"`, or a class name.

    Returns:
        What is known under it, None if nothing is.

    Example:

    ```python
    >>> resolve_name("nothing>Registered") is None
    True
    >>> resolve_name("keras.initializers:Zeros").__name__
    'Zeros'

    ```
    """
    found: object | None = keras.saving.get_registered_object(name)
    return _OWN.get(name) if found is None else found


def name_in_keras(obj: object) -> str | None:
    """Returns the name that Keras knows a class or function by, None if it knows none.

    Args:
        obj: A class or a function.

    Example:

    ```python
    >>> name_in_keras(keras.activations.relu)
    'keras.activations:relu'

    ```
    """
    if id(obj) in _NAMES:
        return _NAMES[id(obj)]
    registered = keras.saving.get_custom_objects().items()
    return next((name for name, known in registered if known is obj and ">" in name), None)


def find_known(*names: object) -> object | None:
    """Returns what the first known of several names stands for (S2).

    Args:
        *names: Names to try in turn; what is no string is passed over.

    Returns:
        What Keras's registry, `custom_objects`, `flaxlayer.register` or this process's layers know
        under the name, None if none is known.

    Example:

    ```python
    >>> find_known(None, "os:system", "flax.linen:Dense").__name__
    'Dense'

    ```
    """
    answers = (look_up(name, resolve_name) for name in names if isinstance(name, str))
    return next((answer for answer in answers if answer is not None), None)
