"""What the stock factories of JAX and Flax make: functions that capture what they were given.

Checked with the versions of docs/versions.md (tests/compat/test_private_closures.py).

- no factory of `jax.nn.initializers`, `jax.checkpoint_policies` or `nn.with_partitioning` tells
  what it was given: a function that it made is told from others by its code, and its arguments are
  the variables that it captured and its own defaults, by the names of the factory's parameters.
  Where a version of JAX makes a dataclass instead, that is stored as one (S1).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import CellType, FunctionType, MappingProxyType

import flax.linen as nn
import jax

__all__ = ["FACTORIES", "captured_by", "closure_variables", "factory_of"]

_init, _policies = jax.nn.initializers, jax.checkpoint_policies
# Each with arguments for a sample.
_SAMPLED: Mapping[str, tuple[Callable[..., object], tuple[object, ...]]] = MappingProxyType(
    {
        "flax.linen:with_logical_partitioning": (nn.with_logical_partitioning, (nn.zeros, ())),
        "flax.linen:with_partitioning": (nn.with_partitioning, (nn.zeros, ())),
        "jax.checkpoint_policies:save_any_names_but_these": (
            _policies.save_any_names_but_these,
            ("name",),
        ),
        "jax.checkpoint_policies:save_only_these_names": (
            _policies.save_only_these_names,
            ("name",),
        ),
        "jax.nn.initializers:constant": (_init.constant, (0,)),
        "jax.nn.initializers:delta_orthogonal": (_init.delta_orthogonal, ()),
        "jax.nn.initializers:normal": (_init.normal, ()),
        "jax.nn.initializers:orthogonal": (_init.orthogonal, ()),
        "jax.nn.initializers:truncated_normal": (_init.truncated_normal, ()),
        "jax.nn.initializers:uniform": (_init.uniform, ()),
        # The Glorot, He and LeCun initializers are this one with its arguments filled in.
        "jax.nn.initializers:variance_scaling": (_init.variance_scaling, (1.0, "fan_in", "normal")),
    }
)
FACTORIES: Mapping[str, Callable[..., object]] = MappingProxyType(
    {name: factory for name, (factory, _) in _SAMPLED.items()}
)
_SAMPLES = {name: factory(*arguments) for name, (factory, arguments) in _SAMPLED.items()}
_FACTORY_OF_CODE = {
    sample.__code__: name for name, sample in _SAMPLES.items() if isinstance(sample, FunctionType)
}


def factory_of(value: object) -> str | None:
    """The name of the stock factory that made a function; None for anything else."""
    return _FACTORY_OF_CODE.get(value.__code__) if isinstance(value, FunctionType) else None


def captured_by(function: FunctionType) -> dict[str, object]:
    """The argument defaults and the captured variables of `function`, by name."""
    parameters = inspect.signature(function, follow_wrapped=False).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    return defaults | closure_variables(function)


def closure_variables(function: FunctionType) -> dict[str, object]:
    """The variables that `function` captured, by name; one not yet assigned is left out."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return {name: cell.cell_contents for name, cell in cells if _is_assigned(cell)}


def _is_assigned(cell: CellType) -> bool:
    try:
        return cell.cell_contents is cell.cell_contents
    except ValueError:
        return False
