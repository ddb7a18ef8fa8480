"""The classes that linen's lifted transforms make of module classes.

Checked with the versions of docs/versions.md (tests/compat/test_private_lifts.py).

- such a class is one of `flax.linen.transforms`; it does not tell the transform nor its arguments,
  which the methods on it capture as `transform`, `trafo_args` and `trafo_kwargs` (S1).
- these methods are told from others by their code, which no other function has.
- `flax.linen.transforms.module_class_lift_transform` and `..._cached` make the class again: the
  public functions take one set of arguments for all methods, and choose between the two.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from types import FunctionType, MappingProxyType

import flax.linen as nn
from flax.core import lift
from flax.linen import transforms

from flaxlayer_core.compat.private_closures import closure_variables
from flaxlayer_core.typing import Function, Leaf

__all__ = [
    "TRANSFORMS",
    "LiftedMethod",
    "is_lifted_class",
    "lift_arguments",
    "lifted_methods",
    "make_lifted",
]

_NAMES = ("checkpoint", "fold_rngs", "jit", "map_variables", "remat_scan", "scan", "vmap")
TRANSFORMS: Mapping[str, Function] = MappingProxyType(
    {name: vars(lift)[name] for name in _NAMES if name in vars(lift)}
)
_LIFTED_CODE = {
    vars(cls)["__call__"].__code__ for cls in (nn.vmap(nn.Dense, {}, {}), nn.jit(nn.Dense))
}


@dataclass(frozen=True)
class LiftedMethod:
    """A method that a transform put on a class.

    Attributes:
        function: The method.
    """

    function: FunctionType

    @property
    def transform(self) -> Function:
        """The transform."""
        transform: Function = _captured(self.function)["transform"]
        return transform

    @property
    def arguments(self) -> dict[str, object]:
        """The arguments that the transform was given, by name."""
        held = _captured(self.function)
        signature = inspect.signature(held["transform"])
        bound = signature.bind(None, *held["trafo_args"], **held["trafo_kwargs"]).arguments
        return dict(list(bound.items())[1:])  # the first is the function that is transformed


def _captured(function: FunctionType) -> Mapping[str, Leaf]:
    return closure_variables(function)


def is_lifted_class(value: object) -> bool:
    """Whether a lifted transform made `value`: its name leaves the transform's arguments out."""
    is_module = isinstance(value, type) and issubclass(value, nn.Module)
    return is_module and getattr(value, "__module__", None) == transforms.__name__


def lifted_methods(cls: type) -> dict[str, LiftedMethod]:
    """The methods that a transform put on a class, by name."""
    return {
        name: LiftedMethod(function)
        for name, function in vars(cls).items()
        if isinstance(function, FunctionType) and function.__code__ in _LIFTED_CODE
    }


def lift_arguments(cls: type) -> list[object]:
    """What the transform that made a class was given, whichever transform it is."""
    methods = [function for function in vars(cls).values() if isinstance(function, FunctionType)]
    held = map(closure_variables, methods)
    return [variables.get(key) for variables in held for key in ("trafo_args", "trafo_kwargs")]


def make_lifted(
    transform: Function, base: type, methods: Mapping[str, Mapping[str, object]]
) -> type:
    """Makes the class that a transform makes of another.

    Args:
        transform: One of `TRANSFORMS`.
        base: The module class.
        methods: The arguments for each method, by name.

    Raises:
        Exception: From the depths of Flax, for arguments that it does not take.
    """
    is_cached = transform in (TRANSFORMS["jit"], TRANSFORMS.get("fold_rngs"))
    kind = "module_class_lift_transform_cached" if is_cached else "module_class_lift_transform"
    made: type = vars(transforms)[kind](transform, base, methods=methods)
    return made
