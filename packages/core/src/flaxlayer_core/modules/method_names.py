"""Which names of a module's class may be those of methods of the user's (A3, S2)."""

from __future__ import annotations

__all__ = ["has_attribute", "is_public_name", "may_name_method"]


def may_name_method(cls: type, base: type, name: str) -> bool:
    """Tells whether what a class has under a name may be a method of the user's.

    Args:
        cls: The class of a module.
        base: The class of Flax that modules derive from: what it defines and Flax itself calls,
            such as `setup`, is no method of the user's, overridden or not.
        name: The name.

    Returns:
        False for a field too: its default may be a function, and is no method.

    Example:

    ```python
    >>> import flax.linen as nn
    >>> names = ("__call__", "features", "kernel_init", "setup")
    >>> [name for name in names if may_name_method(nn.Dense, nn.Module, name)]
    ['__call__']

    ```
    """
    if name == "__call__":
        return True
    fields = getattr(cls, "__dataclass_fields__", {})
    return name not in fields and name[:2] != "__" and not has_attribute(base, name)


def has_attribute(cls: type, name: str) -> bool:
    """Tells whether a class itself has an attribute; those of its metaclass are not its own."""
    return any(name in vars(each) for each in cls.__mro__)


def is_public_name(name: str) -> bool:
    """Tells whether a name is `__call__`, or one without an underscore in front."""
    return name == "__call__" or name[0] != "_"
