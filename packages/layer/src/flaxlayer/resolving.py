"""Names in stored configurations: what Keras's registry and scopes know (S2)."""

from __future__ import annotations

import keras

__all__ = ["resolve_name"]


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
