"""Names in stored configurations: what Keras's registry and scopes know (S2)."""

from __future__ import annotations

import keras

from flaxlayer_core.config.world import look_up

__all__ = ["find_known", "resolve_name"]


def resolve_name(name: str) -> object | None:
    """Looks a name up in `custom_objects` and in Keras's registry; never imports.

    Args:
        name: A registered name such as `"package>Model"`, or a class name.

    Returns:
        What is registered under it, None if nothing is.

    Example:

    ```python
    >>> resolve_name("nothing>Registered") is None
    True

    ```
    """
    found: object | None = keras.saving.get_registered_object(name)
    return found


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
