"""One call of a raw Flax module: its arguments, `init` and `apply`."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from flaxlayer_testing.oracle.flags import mode_arguments
from flaxlayer_testing.oracle.key_parameters import KeyParameter, supplied_keys, wanted_keys

__all__ = [
    "Evaluate",
    "RawCall",
    "Rngs",
    "Variables",
    "arrays_of",
    "is_array",
    "is_of_module",
    "running_module",
]

Variables = Mapping[str, Any]
Rngs = Mapping[str, Any]
Evaluate = Callable[..., Any]

_OF_MODULE = "Raised by a module that raw Flax runs."


@contextmanager
def running_module() -> Iterator[None]:
    """Marks what is raised inside as of the module, or of Flax on its behalf."""
    try:
        yield
    except Exception as error:  # the code of a module may raise anything
        if not is_of_module(error):
            error.add_note(_OF_MODULE)
        raise


def is_of_module(error: BaseException) -> bool:
    """Tells whether raw Flax refused something: the harness has not failed by itself.

    Args:
        error: What the oracle raised.

    Returns:
        Whether a module raised it that raw Flax ran.
    """
    return _OF_MODULE in getattr(error, "__notes__", ())


def is_array(leaf: Any) -> bool:
    """Tells whether a leaf of the arguments is an array, not a static value."""
    return isinstance(leaf, jax.Array | np.ndarray | np.generic)


def arrays_of(tree: Any) -> list[Any]:
    """Returns the arrays among the leaves of a tree."""
    return [leaf for leaf in jax.tree_util.tree_leaves(tree) if is_array(leaf)]


def _ones(array: Any) -> Any:
    key = jnp.issubdtype(array.dtype, jax.dtypes.prng_key)
    return array if key else np.ones(array.shape, array.dtype)


@dataclass(frozen=True, eq=False)
class RawCall(ABC):
    """A module with the arguments of one call, run by raw Flax.

    Attributes:
        module: A module, or what makes one.
        inputs: Positional arguments: arrays, pytrees, static values.
        arguments: Keyword arguments but the training flag.
        training_arg: The training argument where its name is not customary.
        method: The name of the method that `apply` calls.
        keys: Parameters that get random keys when the arguments have none (R5).
        init_method: The name of the method that `init` calls.
        listed: The streams that a call gets, None for those that it draws from (R1).
        base: The class of Flax that the module derives from.
        settings: Names of methods that Flax calls to put the module into a mode.
        intercepted: Whether interceptors of linen see its calls.
        takes_unread: Whether the module has a place for variables that it does not read.
    """

    base: ClassVar[type]
    settings: ClassVar[frozenset[str]]
    intercepted: ClassVar[bool]
    takes_unread: ClassVar[bool]

    module: Any
    inputs: tuple[Any, ...]
    arguments: Mapping[str, Any]
    training_arg: str | None = None
    method: str = "__call__"
    keys: tuple[KeyParameter, ...] = ()
    init_method: str = "__call__"
    listed: frozenset[str] | None = None

    @cached_property
    def _split(self) -> tuple[list[Any], Callable[[list[Any]], Any]]:
        leaves, treedef = jax.tree_util.tree_flatten((self.inputs, dict(self.arguments)))
        with jax.ensure_compile_time_eval():  # the first to ask may be a trace
            arrays = [jnp.asarray(leaf) for leaf in leaves if is_array(leaf)]

        def merge(values: list[Any]) -> Any:
            following = iter(values)
            merged = [next(following) if is_array(leaf) else leaf for leaf in leaves]
            return jax.tree_util.tree_unflatten(treedef, merged)

        return arrays, merge

    @property
    def arrays(self) -> list[Any]:
        """The arrays of the arguments, in the order of the tree."""
        return self._split[0]

    def merge(self, arrays: list[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns positional and keyword arguments with these arrays in their places."""
        args, kwargs = self._split[1](arrays)
        return args, kwargs

    def with_ones(self) -> RawCall:
        """Returns the same call with ones for its arrays; keys stay."""
        args, kwargs = self.merge([_ones(array) for array in self.arrays])
        return replace(self, inputs=args, arguments=kwargs)

    def complete(
        self, arrays: list[Any], method: str, rngs: Rngs, training: bool
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns all arguments of a call: with these arrays, the mode, and keys (A2, R5)."""
        args, kwargs = self.merge(arrays)
        flags = mode_arguments(
            self.target, kwargs, self.training_arg, training=training, method=method
        )
        signature = inspect.signature(getattr(type(self.target), method))
        keys = supplied_keys(self.keys, signature, kwargs, rngs, training=training)
        return args, {**kwargs, **flags, **keys}

    def supplied_streams(self, *, training: bool) -> frozenset[str]:
        """Returns the streams of the keys that arguments get in a mode (R5)."""
        wanted = wanted_keys(self.keys, self.signature, self.arguments, training=training)
        return frozenset(stream for part in wanted for stream in part.streams)

    @property
    def signature(self) -> inspect.Signature:
        """The signature of the method, the module itself included."""
        return inspect.signature(getattr(type(self.target), self.method))

    @property
    def own_streams(self) -> tuple[str, ...]:
        """The streams that the module holds itself; none of linen does."""
        return ()

    @property
    def takes_any_keyword(self) -> bool:
        """Whether the method takes keywords that it does not name."""
        parameters = self.signature.parameters.values()
        return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)

    @property
    def takes_mask(self) -> bool:
        """Whether the method has an argument `mask`, which gets the mask of Keras (A4)."""
        return "mask" in self.signature.parameters

    def with_mask(self, mask: Any) -> RawCall:
        """Returns the same call with a mask, if the method takes one.

        Args:
            mask: The mask, None for none; it replaces the one that the call has.

        Returns:
            A call.
        """
        if not self.takes_mask:
            return self
        names = list(self.signature.parameters)[1:]
        by_name = self.signature.parameters["mask"].kind is inspect.Parameter.KEYWORD_ONLY
        at = len(self.inputs) if by_name else names.index("mask")
        # What came after a positional mask is given by name instead.
        later = dict(zip(names[at + 1 :], self.inputs[at + 1 :], strict=False))
        arguments = {**self.arguments, **later}
        arguments.pop("mask", None)
        masked = {} if mask is None else {"mask": mask}
        return replace(self, inputs=self.inputs[:at], arguments={**arguments, **masked})

    # What differs between linen and nnx.

    @property
    @abstractmethod
    def target(self) -> Any:
        """The object that has the methods."""

    @property
    @abstractmethod
    def holds_values(self) -> bool:
        """Whether the module itself has the initial values, so that no key decides about them."""

    @property
    @abstractmethod
    def trainable(self) -> frozenset[str]:
        """Names of the collections that are trained (C2)."""

    @abstractmethod
    def init_streams(self, evaluate: Evaluate) -> frozenset[str]:
        """Returns the streams whose keys decide about the initial values (R1).

        Args:
            evaluate: Runs a function on arguments, or evaluates it abstractly.

        Returns:
            Their names.
        """

    @abstractmethod
    def drawn_streams(
        self, evaluate: Evaluate, variables: Variables, *, training: bool
    ) -> frozenset[str]:
        """Returns the streams that a call draws from (R1).

        Args:
            evaluate: Runs a function on arguments, or evaluates it abstractly.
            variables: Params and state.
            training: The mode.

        Returns:
            Their names.
        """

    @abstractmethod
    def init(self, rngs: Rngs, *, training: bool) -> dict[str, Any]:
        """Returns the initial variables in a mode.

        Args:
            rngs: A key for each stream.
            training: The mode.

        Returns:
            Collections of arrays.
        """

    @abstractmethod
    def apply(
        self,
        variables: Variables,
        rngs: Rngs,
        arrays: list[Any],
        *,
        training: bool,
        denied: frozenset[str],
    ) -> tuple[Any, dict[str, Any]]:
        """Returns the result of a call.

        Args:
            variables: Params and state.
            rngs: A key for each stream.
            arrays: The arrays of the arguments.
            training: The mode.
            denied: Collections that the module may not change.

        Returns:
            The outputs and every collection that the module may change.
        """

    @abstractmethod
    def unbind(self, bound: Any) -> tuple[Any, dict[str, Any]]:
        """Takes apart what `to_module` of a layer gave.

        Args:
            bound: A module with variables.

        Returns:
            The module, and its variables by collection.
        """
