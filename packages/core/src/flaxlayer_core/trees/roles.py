"""The roles of collections: what is trained, what is state, what passes by (C1, C2)."""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields

from flaxlayer_core.errors import CallArgumentError
from flaxlayer_core.trees.names import as_names

__all__ = ["OVERWRITE_WITH_GRADIENT", "CollectionPolicy", "Role", "decide_role"]

OVERWRITE_WITH_GRADIENT = "_overwrite_with_gradient"
"""The collection in which Flax's operations of 8 bits keep their scales.

The gradient of one is its next value, as in `flax.training.train_state.TrainState`.
"""


class Role(enum.StrEnum):
    """What a layer does with a collection (C1)."""

    TRAINABLE = "trainable"
    STATE = "state"
    TRANSIENT = "transient"


@dataclass(frozen=True, kw_only=True)
class CollectionPolicy:
    """Roles by the name of a collection, before what discovery finds (C2).

    The defaults are Flax's own conventions: `params` is what `Module.param` makes, `intermediates`
    and `perturbations` are where `sow` and `perturb` put what belongs to one call.

    Attributes:
        trainable: Collections of trainable weights. In `_overwrite_with_gradient`, where Flax's
            operations of 8 bits keep their scales, a weight is replaced by its gradient, as
            `flax.training.train_state.TrainState` does.
        state: Collections that are stored and written back; `params` here are stored, but changed
            neither by the optimizer nor by a call (C3).
        transient: Collections that are neither stored nor fed back.

    Each is one name or several. Raises a `CallArgumentError` for anything else.

    Example:

    ```python
    >>> policy = CollectionPolicy(trainable=("lora",), state=("params",))
    >>> policy.role("params"), policy.role("cache")
    (<Role.STATE: 'state'>, None)

    ```
    """

    trainable: tuple[str, ...] = ("params",)
    state: tuple[str, ...] = ()
    transient: tuple[str, ...] = ("intermediates", "perturbations")

    def __post_init__(self) -> None:
        for field in fields(self):
            given = getattr(self, field.name)
            names = as_names(given)
            if names is None:
                raise CallArgumentError(
                    f"A CollectionPolicy cannot use this {field.name}.",
                    expected="names of collections, such as ('batch_stats',)",
                    found=type(given).__name__,
                    fix="Name the collections that get this role.",
                    law="C2",
                )
            object.__setattr__(self, field.name, names)

    def role(self, collection: str) -> Role | None:
        """Returns the role that the policy gives a collection, None where it says nothing."""
        if collection in self.state:
            return Role.STATE
        if collection in self.trainable:
            return Role.TRAINABLE
        return Role.TRANSIENT if collection in self.transient else None

    def with_transient(self, *collections: str) -> CollectionPolicy:
        """Returns this policy with more transient collections."""
        return CollectionPolicy(
            trainable=self.trainable,
            state=self.state,
            transient=tuple(dict.fromkeys((*self.transient, *collections))),
        )


def decide_role(*, stable: bool) -> Role:
    """Decides the role of a collection by what calls do with it (C2).

    Args:
        stable: Whether it kept its structure when the result of a call was fed into the next.

    Returns:
        Its role.

    Example:

    ```python
    >>> decide_role(stable=True)
    <Role.STATE: 'state'>

    ```
    """
    return Role.STATE if stable else Role.TRANSIENT
