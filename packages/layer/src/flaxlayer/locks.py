"""The locks of a layer, which it shares with its methods (A8)."""

from __future__ import annotations

import threading

__all__ = ["LayerLocks"]


class LayerLocks:
    """Two locks that a thread may hold more than once; a copy has its own.

    Attributes:
        build: Held while the layer is built, and while a new kind of call is looked at.
        calls: Held by a call that draws random keys or changes state.

    Example:

    ```python
    >>> import copy
    >>> locks = LayerLocks()
    >>> copy.deepcopy(locks).build is locks.build
    False

    ```
    """

    def __init__(self) -> None:
        self.build = threading.RLock()
        self.calls = threading.RLock()

    def __reduce__(self) -> tuple[type[LayerLocks], tuple[()]]:
        return (LayerLocks, ())
