"""The frozen tables that loading may look names up in without registration (S2)."""

from __future__ import annotations

__all__ = ["CONSTANTS", "DTYPES", "STOCK", "stock_name"]

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType, ModuleType

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from flax import nnx
from flax.core import lift
from jax.scipy import special

from flaxlayer_core.config import stock_names
from flaxlayer_core.config.definitions import (
    is_module_class,
    is_nnx_class,
    is_record_class,
    is_storable_class,
    qualified_name,
)

_PLAIN_DTYPES = """
bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128
"""


def _pick(
    module: ModuleType, label: str, names: Iterable[str] | str
) -> Iterator[tuple[str, object]]:
    # vars, not getattr: a module may resolve deprecated names with a warning.
    held = vars(module)
    return ((f"{label}:{name}", held[name]) for name in _split(names) if name in held)


def _split(names: Iterable[str] | str) -> Iterable[str]:
    return names.split() if isinstance(names, str) else names


def _module_classes() -> Iterator[tuple[str, object]]:
    names = [name for name, value in vars(nn).items() if is_module_class(value)]
    # An alias comes after the class's own name, so that the own name is the one that is stored.
    return _pick(nn, "flax.linen", sorted(names, key=lambda name: vars(nn)[name].__name__ != name))


def _nnx_classes() -> Iterator[tuple[str, object]]:
    return _pick(
        nnx, "flax.nnx", [name for name, value in vars(nnx).items() if is_nnx_class(value)]
    )


def _record_classes() -> Iterator[tuple[str, object]]:
    yield from _pick(nn, "flax.linen", ["DenyList", "LogicallyPartitioned", "Partitioned"])
    yield from _pick(lift, "flax.core.lift", ["In", "Out"])
    policies = jax.checkpoint_policies
    for factory in (policies.save_only_these_names, policies.save_any_names_but_these):
        kind = type(factory("name"))
        if is_record_class(kind):
            yield f"jax.checkpoint_policies:{kind.__name__}", kind
    lax_names = [name for name, value in vars(jax.lax).items() if is_storable_class(value)]
    yield from _pick(jax.lax, "jax.lax", lax_names)


def _scalar_types() -> Iterator[tuple[str, object]]:
    yield from ((f"builtins:{kind.__name__}", kind) for kind in (bool, int, float, complex))
    for module in (np, ml_dtypes):
        names = [name for name, value in vars(module).items() if _is_numpy_scalar_type(value)]
        yield from _pick(
            module, module.__name__, sorted(names, key=lambda n: vars(module)[n].__name__ != n)
        )
    scalar_meta = type(jnp.float32)
    names = [name for name, value in vars(jnp).items() if type(value) is scalar_meta]
    yield from _pick(jnp, "jax.numpy", sorted(names, key=lambda n: vars(jnp)[n].__name__ != n))


def _is_numpy_scalar_type(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, np.generic)


def _functions() -> Iterator[tuple[str, object]]:
    yield from _pick(jax.nn, "jax.nn", stock_names.JAX_NN)
    yield from _pick(jax.nn.initializers, "jax.nn.initializers", stock_names.INITIALIZERS)
    yield from _pick(nn, "flax.linen", stock_names.FLAX_LINEN)
    yield from _pick(jnp, "jax.numpy", stock_names.JAX_NUMPY)
    yield from _pick(jax.lax, "jax.lax", stock_names.JAX_LAX)
    yield from _pick(special, "jax.scipy.special", stock_names.SPECIAL)
    policies = vars(jax.checkpoint_policies)
    for name in stock_names.CHECKPOINT_POLICIES.split():
        yield f"jax.checkpoint_policies:{name}", policies[name]
    yield from _pick(lift, "flax.core.lift", ["id_fn"])
    yield from _field_defaults()


def _field_defaults() -> Iterator[tuple[str, object]]:
    """Functions of Flax that its own modules hold by default, such as `promote_dtype`."""
    fields = [field for _, cls in _module_classes() for field in _fields(cls)]
    for default in (field.default for field in fields):
        name = qualified_name(default) if callable(default) else None
        if name and name.startswith("flax.") and "<" not in name:
            yield name, default


def _fields(cls: object) -> tuple[dataclasses.Field[object], ...]:
    return (
        dataclasses.fields(cls) if isinstance(cls, type) and dataclasses.is_dataclass(cls) else ()
    )


def _freeze(pairs: Iterable[tuple[str, object]]) -> Mapping[str, object]:
    table: dict[str, object] = {}
    for name, value in pairs:
        table.setdefault(name, value)
    return MappingProxyType(table)


def _entries() -> Iterator[tuple[str, object]]:
    yield from _module_classes()
    yield from _nnx_classes()
    yield from _record_classes()
    yield from _scalar_types()
    yield from _functions()


STOCK: Mapping[str, object] = _freeze(_entries())
CONSTANTS: Mapping[str, object] = _freeze(
    [
        ("builtins:Ellipsis", Ellipsis),
        ("flax.linen:broadcast", nn.broadcast),
        ("jax.sharding:PartitionSpec.UNCONSTRAINED", jax.sharding.PartitionSpec.UNCONSTRAINED),
    ]
)
DTYPES: Mapping[str, np.dtype[np.generic]] = MappingProxyType(
    {name: np.dtype(name) for name in _split(_PLAIN_DTYPES)}
    | {
        np.dtype(kind).name: np.dtype(kind)
        for kind in vars(ml_dtypes).values()
        if _is_numpy_scalar_type(kind)
    }
)
_NAMES = {
    id(value): name for table in (CONSTANTS, STOCK) for name, value in reversed([*table.items()])
}


def stock_name(value: object) -> str | None:
    """The name of a stock class, function or constant, None for anything else."""
    return _NAMES.get(id(value))
