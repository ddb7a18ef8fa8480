"""What the rest of flaxlayer asks of a Flax module, whichever Flax API it is written in.

Two protocols: what is to be known of a module before it runs, and running it. Neither learns
anything from a call.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol, TypeVar

import flax.linen as nn
from flax import nnx

from flaxlayer_core.compat.private_linen import StreamRecord
from flaxlayer_core.trees.roles import Role
from flaxlayer_core.typing import (
    Args,
    Array,
    Kwargs,
    MeshAxes,
    Method,
    Mutable,
    Path,
    PyTree,
    Rngs,
    Variables,
)

__all__ = ["NO_MODES", "FlaxModule", "Modes", "ModuleFacts"]

Modes = Mapping[str, bool]
NO_MODES: Modes = MappingProxyType({})
"""The mode of a module that has no attributes for it."""

Result = TypeVar("Result")


class ModuleFacts(Protocol):
    """What a module is."""

    @property
    def module(self) -> object:
        """The user's module object."""

    @property
    def origin(self) -> object:
        """What the user gave: the module, or what makes it, which a file holds then (S5)."""

    @property
    def draws_itself(self) -> bool:
        """Whether it is a layer of Flax with streams of its own, which arguments replace (R5)."""

    @property
    def class_name(self) -> str:
        """The name of its class, for messages."""

    @property
    def has_modes(self) -> bool:
        """Whether the mode is set on the module itself, so that calls differ in it (A2)."""

    @property
    def has_own_variables(self) -> bool:
        """Whether its variables are its own, whatever it is called with and given (B4)."""

    @property
    def valueless(self) -> frozenset[Path]:
        """Paths of variables that it describes only, so that init makes no values of them (B4)."""

    def is_mode(self, name: str) -> bool:
        """Tells whether an attribute of the module may be set to tell the mode (A2)."""

    def default_role(self, collection: str) -> Role | None:
        """Returns the role that a collection has by its kind, None if calls must tell (C2)."""

    def resolve_method(self, method: object) -> Method:
        """Returns a method as a name, or a function that takes the module first (A3)."""

    def signature(self, method: Method) -> inspect.Signature:
        """Returns the signature of a method without the module argument."""

    def decides_argument(self, name: str, method: Method = "__call__") -> bool:
        """Tells whether the module's own configuration already decides an argument (A2)."""

    def fixed_keywords(self, method: Method) -> frozenset[str]:
        """Returns the keyword arguments that a partial method has a value for already (A2)."""

    def axis_names(self, variables: Variables) -> dict[Path, MeshAxes]:
        """Returns the mesh axes that partition metadata names for variables, by path (B5).

        Args:
            variables: What is stored: a tree of arrays or `ShapeDtypeStruct`.

        Returns:
            For each dimension a name, several, or None; only for variables with metadata.
        """

    def offered_streams(self, *, init: bool) -> tuple[str, ...] | None:
        """Returns the streams that it may be given whether it draws from them or not (R1).

        None where a module can ask which it was given, so that these are found one by one.
        """

    def merging_repeats(
        self, inputs: Sequence[Array] | None = None, *, depends: bool = False
    ) -> contextlib.AbstractContextManager[object]:
        """Opens a context for an abstract evaluation, which asks for forms alone (B6).

        In it equal parts of the module that are called alike may run once.

        Args:
            inputs: The arrays of an init, None where the module is applied.
            depends: Whether it is asked, too, which results depend on which arguments.
        """


class FlaxModule(Protocol):
    """A module behind pure functions of its variables.

    `LinenModule` is the implementation for `flax.linen`, `NnxModule` the one for `flax.nnx`;
    `LazyStateModule` stands before a module that makes state when it is applied.
    """

    @property
    def facts(self) -> ModuleFacts:
        """What the user's module is."""

    def init(
        self,
        rngs: Rngs,
        args: Args,
        kwargs: Kwargs,
        *,
        method: Method,
        modes: Modes = NO_MODES,
    ) -> dict[str, PyTree]:
        """Returns initial variables."""

    def apply(
        self,
        variables: Variables,
        args: Args,
        kwargs: Kwargs,
        *,
        method: Method,
        rngs: Rngs,
        mutable: Mutable,
        modes: Modes = NO_MODES,
    ) -> tuple[PyTree, dict[str, PyTree]]:
        """Returns the outputs of a call and the collections that it may have changed."""

    def raw_variables(self, stored: Variables) -> dict[str, PyTree]:
        """Returns what is stored as the tree that the module itself takes (W2)."""

    def stored_variables(self, raw: Variables) -> dict[str, PyTree]:
        """Returns a tree of the module's, or a part of one, as it is stored (B4, W2)."""

    def bind(self, variables: Variables) -> nn.Module | nnx.Module:
        """Returns the module with variables in the form that it takes itself."""

    def extended_by(self, run: Callable[[], Result]) -> tuple[Result, FlaxModule]:
        """Returns the result of calls, and the module that runs on the state that they made.

        Args:
            run: Applies this module.

        Returns:
            The result, and the module itself if calls make nothing that it does not know.
        """

    def record_streams(self) -> contextlib.AbstractContextManager[StreamRecord]:
        """Opens a context that records which rng streams the module asks for (R1)."""

    def call_context(self) -> tuple[object, ...] | None:
        """Returns the ambient settings that change a call, None if they cannot be a key (A6)."""
