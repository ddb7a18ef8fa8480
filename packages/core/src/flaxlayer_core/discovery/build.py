"""From input shapes to what a layer must store (B1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import export

from flaxlayer_core.discovery.module_call import ModuleCall
from flaxlayer_core.discovery.module_spec import ModuleSpec
from flaxlayer_core.discovery.search import infer_module_spec
from flaxlayer_core.discovery.state_forms import refuse_late
from flaxlayer_core.errors import BuildModuleError, FlaxLayerError, MatchVariablesError
from flaxlayer_core.jaxprs.traced import UNTRACEABLE, held_against
from flaxlayer_core.modules.lazy_state import LazyStateModule
from flaxlayer_core.shapes import (
    AbstractInputs,
    ArraySpec,
    abstract_inputs,
    drop_symbols,
    is_symbolic,
)
from flaxlayer_core.size_bounds import SizeBound
from flaxlayer_core.trees.array_types import is_array
from flaxlayer_core.trees.collections import VariableLayout

__all__ = ["BuildSpec", "infer_build_spec", "ones", "output_specs"]


@dataclass(frozen=True)
class BuildSpec:
    """What abstract evaluation says about a module for given inputs.

    Attributes:
        probe: The question; its module has a place for all state from init on (C2).
        discovery: Variables, roles and streams.
        binding: The abstract inputs that the evaluation succeeded with.
    """

    probe: ModuleCall
    discovery: ModuleSpec
    binding: AbstractInputs


def infer_build_spec(
    probe: ModuleCall,
    specs: Sequence[ArraySpec],
    *,
    values: Sequence[Any] | None = None,
    applied: bool = True,
    prepare: bool = True,
) -> BuildSpec:
    """Evaluates a module abstractly for inputs whose dimensions may be unknown (B1).

    Args:
        probe: The module and its call.
        specs: The inputs.
        values: The inputs themselves where they are at hand: a module that branches on values
            cannot be evaluated without.
        applied: Whether the module must be applicable to such inputs, not only initialisable.
        prepare: Whether initialisers compile meanwhile, each by itself; in vain where the initial
            values get shardings (B5).

    Returns:
        What was found.

    Raises:
        BuildModuleError: If the module cannot be evaluated, or a stored variable's shape depends
            on an unknown dimension.

    Example:

    ```python
    >>> import flax.linen as nn, numpy as np
    >>> from flaxlayer_core.trees.arguments import partition
    >>> from flaxlayer_core.modules.linen import LinenModule
    >>> from flaxlayer_core.modules.signatures import MethodSignature
    >>> module = LinenModule(nn.Dense(2))
    >>> call = MethodSignature.from_method(module, None)
    >>> spec = ArraySpec((None, 3), np.dtype("float32"))
    >>> _, structure = partition((spec,), {})
    >>> found = infer_build_spec(ModuleCall(module, call, call, structure), [spec])
    >>> [str(spec) for spec in found.discovery.layout.specs]
    ['float32[2]', 'float32[3,2]']

    ```
    """
    failure: Exception | None = None
    refused: MatchVariablesError | None = None
    reported = False
    for binding in abstract_inputs(specs):
        try:
            return _examine_binding(probe, binding, values, applied, prepare)
        except MatchVariablesError as error:
            # B4: sizes may fit what was given where symbols do not.
            refused = refused or error
            if not _names_symbol(error.expected, binding):
                break
        except FlaxLayerError:
            raise
        except Exception as error:  # any module may fail in any way on symbolic sizes
            if not reported:
                # The first failure on sizes says most: it has no symbols in it.
                failure, reported = error, bool(binding.varied)
    if refused is not None:
        raise refused
    raise _refusal(probe, specs, failure) from failure


def _names_symbol(shapes: str, binding: AbstractInputs) -> bool:
    names = "|".join(binding.symbols) if not binding.varied else ""
    return bool(names) and re.search(rf"\[[^\]]*\b({names})\b", shapes) is not None


def _examine_binding(
    probe: ModuleCall,
    binding: AbstractInputs,
    values: Sequence[Any] | None,
    applied: bool,
    prepare: bool,
) -> BuildSpec:
    prepare = prepare and probe.given is None  # else there may be nothing to make
    try:
        probe, found = _discover(probe, binding.arrays, applied=applied, prepare=prepare)
    except UNTRACEABLE:
        if any(is_symbolic(array.shape) for array in binding.arrays):
            raise
        concrete = values if values is not None else ones(binding, probe.bound)
        if any(isinstance(value, jax.core.Tracer) for value in concrete):
            raise
        with held_against(probe.bound, where=probe.title):
            return BuildSpec(*_discover(probe, concrete, abstract=False), binding)
    _refuse_unknown_shapes(probe, found.layout, binding)
    for what, arrays in binding.varied:
        _refuse_dependence(
            probe, found.layout, infer_module_spec(probe, arrays, applied=applied).layout, what
        )
    return BuildSpec(probe, found, binding)


def _discover(
    probe: ModuleCall, arrays: Sequence[Any], **options: Any
) -> tuple[ModuleCall, ModuleSpec]:
    found = infer_module_spec(probe, arrays, **options)
    if found.late:
        probe = replace(probe, flax_module=LazyStateModule(probe.flax_module, found.late))
        found = infer_module_spec(probe, arrays, **options)
        refuse_late(probe, found)
    return probe, found


def ones(binding: AbstractInputs, bound: SizeBound | None = None) -> list[jax.Array]:
    """Returns arrays of ones of the right dtypes, for what cannot be evaluated abstractly.

    Raises:
        BuildModuleError: If they are beyond a bound.
    """
    if bound is not None:
        bound.check_made(binding.arrays)
    return [jnp.ones(array.shape, array.dtype) for array in binding.arrays]


def _refuse_unknown_shapes(
    probe: ModuleCall, layout: VariableLayout, binding: AbstractInputs
) -> None:
    for spec in layout.specs:
        unknown = [dim for dim in spec.shape if export.is_symbolic_dim(dim)]
        if unknown:
            used = [text for name, text in binding.symbols.items() if name in str(unknown)]
            raise _dimension_error(probe, spec.path, str(spec), " and ".join(used))


def _refuse_dependence(
    probe: ModuleCall, layout: VariableLayout, varied: VariableLayout, what: str
) -> None:
    others = {spec.path: spec for spec in varied.specs}
    for spec in layout.specs:
        other = others.get(spec.path)
        if other != spec:
            found = f"{spec} for one size, {other} for another"
            raise _dimension_error(probe, spec.path, found, what)


def _dimension_error(
    probe: ModuleCall, path: tuple[str, ...], found: str, what: str
) -> BuildModuleError:
    return BuildModuleError(
        f"{probe.title} cannot be built: the shape of {'/'.join(path)!r} depends on {what}.",
        expected="stored variables whose shapes follow from the known dimensions",
        found=found,
        fix="Give that dimension: keras.Input(batch_shape=...), or call the layer on real data.",
        law="B1",
    )


def _refusal(
    probe: ModuleCall, specs: Sequence[ArraySpec], failure: Exception | None
) -> BuildModuleError:
    return BuildModuleError(
        f"{probe.title} cannot be evaluated: {type(failure).__name__}: {failure}",
        expected=f"inputs that {probe.call.label}{probe.call.signature} takes",
        found=", ".join(map(str, specs)) or "no arrays",
        fix="Run `module.init` on such inputs by itself; what fails there fails here.",
        law="B1",
    )


def output_specs(
    specs: Sequence[ArraySpec], run: Callable[[Sequence[jax.ShapeDtypeStruct]], Any]
) -> Any:
    """Evaluates outputs abstractly for inputs whose dimensions may be unknown.

    Args:
        specs: The inputs.
        run: Returns the outputs for abstract arrays, as a pytree of `ShapeDtypeStruct`.

    Returns:
        The outputs with an `ArraySpec` for each array; other leaves as they are.

    Example:

    ```python
    >>> import numpy as np
    >>> spec = ArraySpec((None, 3), np.dtype("float32"))
    >>> str(output_specs([spec], lambda arrays: jax.eval_shape(jnp.transpose, *arrays)))
    'float32[3,?]'

    ```
    """
    failure: Exception | None = None
    for binding in abstract_inputs(specs):
        try:
            outputs = run(binding.arrays)
            varied = [run(arrays) for _, arrays in binding.varied]
        except FlaxLayerError:
            raise
        except Exception as error:  # any module may fail in any way on symbolic sizes
            failure = error
            continue
        return jax.tree_util.tree_map(_output_spec, outputs, *varied)
    assert failure is not None
    raise failure


def _output_spec(output: Any, *varied: Any) -> Any:
    if not is_array(output):
        return output
    dims = drop_symbols(output.shape)
    for other in varied:
        dims = tuple(d if d == o else None for d, o in zip(dims, other.shape, strict=True))
    return ArraySpec(dims, output.dtype)
