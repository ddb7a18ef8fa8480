"""From input shapes to what a layer must store (B1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import jax
import jax.numpy as jnp
from jax import export

from flaxlayer_core.compat.private_jax import filter_traceback
from flaxlayer_core.discovery.module_call import InitTrace, ModuleCall
from flaxlayer_core.discovery.module_spec import ModuleSpec
from flaxlayer_core.discovery.search import Inits, infer_module_spec
from flaxlayer_core.discovery.sizes import NoSizeFitsError, first_that_fits
from flaxlayer_core.discovery.state_forms import refuse_late
from flaxlayer_core.errors import BuildModuleError, FlaxLayerError, MatchVariablesError
from flaxlayer_core.jaxprs.traced import UNTRACEABLE, held_against
from flaxlayer_core.modules.lazy_state import LazyStateModule
from flaxlayer_core.shapes import (
    AbstractInputs,
    ArraySpec,
    abstract_inputs,
    is_symbolic,
)
from flaxlayer_core.size_bounds import SizeBound
from flaxlayer_core.trees.variable_layout import VariableLayout
from flaxlayer_core.typing import Shaped

__all__ = ["BuildSpec", "infer_build_spec", "ones"]


@dataclass(frozen=True)
class BuildSpec:
    """What abstract evaluation says about a module for given inputs.

    Attributes:
        call: The call; its module has a place for all state from init on (C2).
        spec: Variables, roles and streams.
        inputs: The abstract inputs that the evaluation succeeded with.
    """

    call: ModuleCall
    spec: ModuleSpec
    inputs: AbstractInputs


def infer_build_spec(
    call: ModuleCall,
    specs: Sequence[ArraySpec],
    *,
    values: Sequence[Shaped] | None = None,
    applied: bool = True,
    prepare: bool = True,
    refusable: frozenset[bool] = frozenset(),
) -> tuple[BuildSpec, InitTrace | None]:
    """Evaluates a module abstractly for inputs whose dimensions may be unknown (B1).

    Args:
        call: The module and its call.
        specs: The inputs.
        values: The inputs themselves where they are at hand: a module that branches on values
            cannot be evaluated without.
        applied: Whether the module must be applicable to such inputs, not only initialisable.
        prepare: Whether initialisers compile meanwhile, each by itself; in vain where the initial
            values get shardings (B5).
        refusable: The modes that the module may refuse, as long as it runs in the other one: those
            that the call that builds it does not need. Where it refuses training for such inputs,
            it is initialised with the flag off (B2).

    Returns:
        What was found; and the traced init, from which initial values come, where there was one.

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
    >>> method = MethodSignature.from_method(module, None)
    >>> spec = ArraySpec((None, 3), np.dtype("float32"))
    >>> _, structure = partition((spec,), {})
    >>> found, _ = infer_build_spec(ModuleCall(module, method, method, structure), [spec])
    >>> [str(spec) for spec in found.spec.layout.specs]
    ['float32[2]', 'float32[3,2]']

    ```
    """
    refusals: list[MatchVariablesError] = []

    def is_of_sizes(error: Exception, inputs: AbstractInputs) -> bool:
        if isinstance(error, MatchVariablesError):
            # B4: sizes may fit what was given where symbols do not.
            refusals.append(error)
            return _names_symbol(error.expected, inputs)
        return not isinstance(error, FlaxLayerError)

    choices, known = list(abstract_inputs(specs)), _KnownInits()

    def infer(refusable: frozenset[bool]) -> tuple[BuildSpec, InitTrace | None]:
        options = _Options(applied, prepare, refusable, known)
        return first_that_fits(
            choices,
            lambda inputs: _infer_for(call, inputs, values, options),
            passes_over=is_of_sizes,
        )

    ended: list[NoSizeFitsError[AbstractInputs]] = []
    # In both modes with some sizes is better than in one with unknown ones.
    for allowed in dict.fromkeys((frozenset[bool](), refusable)):
        try:
            return infer(allowed)
        except MatchVariablesError:
            break
        except NoSizeFitsError as error:
            ended.append(error)
    if refusals:  # where given variables do not match, that is what ended it
        raise refusals[0]
    # The first failure on sizes says most: it has no symbols in it.
    sized = (failure for inputs, failure in ended[0].failures if inputs.resized)
    failure = next(sized, ended[0].last)
    filter_traceback(failure)
    raise _refusal(call, specs, failure) from failure


@dataclass(frozen=True)
class _KnownInits:
    """Inits of one build that need not run again, by module and inputs (B6)."""

    known: dict[tuple[int, int], tuple[Inits, object]] = field(default_factory=dict)

    def of(self, call: ModuleCall, arrays: Sequence[Shaped]) -> Inits:
        """Returns those of a module on abstract arrays, and takes others."""
        # An init of a module that has its variables itself knows no inputs.
        inputs = None if call.flax_module.facts.has_own_variables else arrays
        place = (id(call.flax_module), id(inputs))
        if place not in self.known:
            self.known[place] = ({}, (call.flax_module, inputs))  # held, as it is told by its id
        return self.known[place][0]


@dataclass(frozen=True)
class _Options:
    """How an evaluation goes, as for `infer_build_spec`."""

    applied: bool
    prepare: bool
    refusable: frozenset[bool]
    inits: _KnownInits

    def infer(
        self, call: ModuleCall, arrays: Sequence[Shaped], *, abstract: bool
    ) -> tuple[ModuleSpec, InitTrace | None]:
        # Where variables were given there may be nothing to prepare.
        prepare = self.prepare and abstract and call.given is None
        return infer_module_spec(
            call,
            arrays,
            abstract=abstract,
            applied=self.applied or not abstract,
            prepare=prepare,
            refusable=self.refusable,
            inits=self.inits.of(call, arrays) if abstract else None,
        )


def _names_symbol(shapes: str, inputs: AbstractInputs) -> bool:
    names = "|".join(inputs.symbols) if not inputs.resized else ""
    return bool(names) and re.search(rf"\[[^\]]*\b({names})\b", shapes) is not None


def _infer_for(
    call: ModuleCall,
    inputs: AbstractInputs,
    values: Sequence[Shaped] | None,
    options: _Options,
) -> tuple[BuildSpec, InitTrace | None]:
    try:
        call, spec, trace = _infer(call, inputs.arrays, options)
    except UNTRACEABLE:
        if any(is_symbolic(array.shape) for array in inputs.arrays):
            raise
        concrete = values if values is not None else ones(inputs, call.bound)
        if any(isinstance(value, jax.core.Tracer) for value in concrete):
            raise
        with held_against(call.bound, title=call.title):
            call, spec, trace = _infer(call, concrete, options, abstract=False)
        return BuildSpec(call, spec, inputs), trace
    _refuse_unknown_shapes(call, spec.layout, inputs)
    for what, arrays in inputs.resized:
        resized, _ = replace(options, prepare=False).infer(call, arrays, abstract=True)
        _refuse_dependence(call, spec.layout, resized.layout, what)
    return BuildSpec(call, spec, inputs), trace


def _infer(
    call: ModuleCall, arrays: Sequence[Shaped], options: _Options, *, abstract: bool = True
) -> tuple[ModuleCall, ModuleSpec, InitTrace | None]:
    spec, trace = options.infer(call, arrays, abstract=abstract)
    if spec.late:
        call = replace(call, flax_module=LazyStateModule(spec.flax_module, spec.late))
        spec, trace = options.infer(call, arrays, abstract=abstract)
        refuse_late(call, spec)
        call = replace(call, flax_module=spec.flax_module)
    return call, spec, trace


def ones(inputs: AbstractInputs, bound: SizeBound | None = None) -> list[jax.Array]:
    """Returns arrays of ones of the right dtypes, for what cannot be evaluated abstractly.

    Raises:
        BuildModuleError: If they are beyond a bound.
    """
    if bound is not None:
        bound.check_made(inputs.arrays)
    return [jnp.ones(array.shape, array.dtype) for array in inputs.arrays]


def _refuse_unknown_shapes(
    call: ModuleCall, layout: VariableLayout, inputs: AbstractInputs
) -> None:
    for spec in layout.specs:
        unknown = [dim for dim in spec.shape if export.is_symbolic_dim(dim)]
        if unknown:
            used = [text for name, text in inputs.symbols.items() if name in str(unknown)]
            raise _dimension_error(call, spec.path, str(spec), " and ".join(used))


def _refuse_dependence(
    call: ModuleCall, layout: VariableLayout, varied: VariableLayout, what: str
) -> None:
    others = {spec.path: spec for spec in varied.specs}
    for spec in layout.specs:
        other = others.get(spec.path)
        if other != spec:
            found = f"{spec} for one size, {other} for another"
            raise _dimension_error(call, spec.path, found, what)


def _dimension_error(
    call: ModuleCall, path: tuple[str, ...], found: str, what: str
) -> BuildModuleError:
    return BuildModuleError(
        f"{call.title} cannot be built: the shape of {'/'.join(path)!r} depends on {what}.",
        expected="stored variables whose shapes follow from the known dimensions",
        found=found,
        fix="Give that dimension: keras.Input(batch_shape=...), or call the layer on real data.",
        law="B1",
    )


def _refusal(
    call: ModuleCall, specs: Sequence[ArraySpec], failure: Exception | None
) -> BuildModuleError:
    return BuildModuleError(
        f"{call.title} cannot be evaluated: {type(failure).__name__}: {failure}",
        expected=f"inputs that {call.method.title}{call.method.signature} takes",
        found=", ".join(map(str, specs)) or "no arrays",
        fix="Run `module.init` and `module.apply` on such inputs by themselves, in training and at "
        "inference; what fails there fails here.",
        law="B1",
    )
