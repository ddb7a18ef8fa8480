"""The variables of a module as Keras variables, by path (C5, C6, W1, W2)."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import jax
import jax.numpy as jnp
import keras

from flaxlayer.backends import current_backend
from flaxlayer.compat import private_keras
from flaxlayer.typing import Array, BackendArray, DType, Layout, PyTree, Write
from flaxlayer.weights.sharding import current_devices
from flaxlayer_core import (
    Path,
    Role,
    StoreDtypeError,
    VariableLayout,
    VariableSpec,
    format_path,
)

__all__ = ["FlaxWeights", "create_weights", "replace_values", "restoring_values", "trains"]


_NO_LOCK = contextlib.nullcontext()


@dataclass(frozen=True)
class FlaxWeights:
    """Keras variables in the order of a layout.

    Attributes:
        layout: What the module stores.
        variables: A Keras variable for each of `layout.specs`.
        devices: Those of the distribution under which they were made.
        lock: Held while values are read or written, so that a thread sees all of a write or
            nothing of it (A8).
    """

    layout: VariableLayout
    variables: tuple[keras.Variable, ...]
    devices: frozenset[str] = frozenset()
    lock: contextlib.AbstractContextManager[bool] = field(
        default_factory=threading.RLock, repr=False, compare=False
    )

    def values(self) -> list[BackendArray]:
        """Returns the current arrays; inside a `StatelessScope`, those of the scope."""
        if private_keras.in_stateless_scope():
            return [variable.value for variable in self.variables]
        with self._turn():
            return private_keras.raw_values(self.variables)

    def assign(self, writes: Iterable[Write]) -> None:
        """Gives variables new values, all at once for other threads."""
        with self._turn():
            for variable, value in writes:
                variable.assign(value)

    def replace(self, writes: Iterable[Write]) -> None:
        """Gives variables new values, all at once for other threads, and all or none of them."""
        with self._turn():
            replace_values(writes)

    def jax_values(self) -> list[jax.Array]:
        """Returns the current values as arrays of JAX."""
        with self._turn():  # on TensorFlow what holds a value is read here
            arrays = list(map(current_backend().to_jax, self.values()))
        # On torch Keras keeps unsigned integers in signed ones.
        kinds = [spec.dtype if spec.dtype.kind == "u" else None for spec in self.layout.specs]
        return [jnp.asarray(array, kind) for array, kind in zip(arrays, kinds, strict=True)]

    def _turn(self) -> contextlib.AbstractContextManager[object]:
        turn: contextlib.AbstractContextManager[object]
        turn = self.lock if current_backend().may_wait() else _NO_LOCK
        return turn

    def tree(self, role: Role) -> dict[str, PyTree]:
        """Returns the collections of one role as a tree of Keras variables."""
        tree: dict[str, PyTree] = jax.tree_util.tree_unflatten(self.layout.treedef, self.variables)
        return {name: part for name, part in tree.items() if self.layout.role(name) is role}

    def by_path(self) -> dict[Path, keras.Variable]:
        """Returns the variables by the path of the module's variable."""
        return dict(zip(self.layout.paths, self.variables, strict=True))


def replace_values(writes: Iterable[Write]) -> None:
    """Gives variables new values; what stops it, an interrupt too, leaves all as they were (S6).

    Args:
        writes: Variables and values, each asked for when the one before it has been written.
    """
    keep = current_backend().keep
    with contextlib.ExitStack() as undo:
        for variable, value in writes:
            undo.callback(variable.assign, keep(variable))
            variable.assign(value)
        undo.pop_all()


@contextlib.contextmanager
def restoring_values(variables: Iterable[keras.Variable]) -> Iterator[None]:
    """Gives variables their values back, where what runs inside is stopped (S6)."""
    kept = [(variable, current_backend().keep(variable)) for variable in variables]
    with contextlib.ExitStack() as undo:
        for variable, value in kept:
            undo.callback(variable.assign, value)
        yield
        undo.pop_all()


def create_weights(
    layout: VariableLayout,
    initial: Callable[[], Sequence[Array]],
    *,
    variable_dtype: str | None,
    title: str,
    layouts: Mapping[Path, Layout] = MappingProxyType({}),
) -> FlaxWeights:
    """Makes a Keras variable for each stored variable of a module.

    Args:
        layout: What the module stores.
        initial: Returns the initial arrays in the order of the layout. Inside a `StatelessScope`
            it is called when the scope ends (B3). Elsewhere a list of arrays is emptied as they are
            taken, so that none is held beside its variable (B6).
        variable_dtype: The dtype that floating weights are stored in, None for the module's own.
        title: What to name in an error.
        layouts: Where a distribution puts them, by path (B5).

    Returns:
        The variables, with paths `<layer>/params/Dense_0/kernel` (W1).

    Raises:
        StoreDtypeError: If a variable has a dtype that Keras does not know.
    """
    dtypes = [_stored_dtype(spec, layout, variable_dtype, title) for spec in layout.specs]
    variables = [
        _create_variable(spec, index, dtype, initial, layout, layouts.get(spec.path))
        for index, (spec, dtype) in enumerate(zip(layout.specs, dtypes, strict=True))
    ]
    return FlaxWeights(layout, tuple(variables), current_devices())


def trains(spec: VariableSpec, layout: VariableLayout) -> bool:
    """Tells whether a variable is trained while nothing is frozen (C2, C6)."""
    return layout.role(spec.path[0]) is Role.TRAINABLE and spec.differentiable


def _stored_dtype(
    spec: VariableSpec, layout: VariableLayout, variable_dtype: str | None, title: str
) -> str:
    # C6: state is never cast; params only where a dtype was given explicitly (A7).
    floating = jnp.issubdtype(spec.dtype, jnp.floating)
    if variable_dtype and floating and layout.optimizes(spec):
        return variable_dtype
    try:
        return str(keras.backend.standardize_dtype(spec.dtype))
    except ValueError as error:
        raise StoreDtypeError(
            f"{title} cannot store {format_path(spec.path)!r}.",
            expected="a dtype that keras.Variable takes",
            found=str(spec),
            fix="Store it in another dtype and convert it inside the module.",
            law="C6",
        ) from error


def _create_variable(
    spec: VariableSpec,
    index: int,
    dtype: str,
    initial: Callable[[], Sequence[Array]],
    layout: VariableLayout,
    placed: Layout | None,
) -> keras.Variable:
    options = {} if placed is None else {"layout": placed}  # older Keras takes none
    backend = current_backend()

    def initializer(shape: tuple[int, ...], dtype: DType = None) -> BackendArray:
        del shape
        values = initial()
        made = backend.to_backend(jnp.asarray(spec.store(values[index]), dtype))
        if not deferred and isinstance(values, list):
            values[index] = None  # B6
        return made

    deferred = private_keras.in_stateless_scope()
    with _scopes(spec.path[:-1]), backend.creating():
        variable = keras.Variable(
            initializer if deferred else initializer(spec.shape, dtype),
            shape=spec.shape if deferred else None,
            dtype=dtype,
            trainable=trains(spec, layout),
            autocast=False,
            name=backend.variable_name(spec.path[-1]),
            **backend.variable_options(spec, layout.role(spec.path[0])),
            **options,
        )
    variable.overwrite_with_gradient = trains(spec, layout) and not layout.optimizes(spec)
    return variable


@contextlib.contextmanager
def _scopes(parts: Sequence[str]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for part in parts:
            stack.enter_context(keras.name_scope(current_backend().variable_name(part)))
        yield
