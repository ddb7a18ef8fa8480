"""The search for what a module stores and how it is called: from what was given, or from init."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import TypeAlias

from flax import errors as flax_errors

from flaxlayer_core.discovery.given_variables import Completion, holds_tuples
from flaxlayer_core.discovery.modes import ModeSearch
from flaxlayer_core.discovery.module_call import InitTrace, ModuleCall, trace_init
from flaxlayer_core.discovery.module_spec import ModePlan, ModuleSpec
from flaxlayer_core.discovery.state_forms import find_late, refuse_late
from flaxlayer_core.discovery.streams import find_streams
from flaxlayer_core.discovery.trials import Trial
from flaxlayer_core.jaxprs.traced import UNTRACEABLE
from flaxlayer_core.size_bounds import refuse_unaddressable
from flaxlayer_core.trees.forms import holds_forms
from flaxlayer_core.trees.overlays import fill_missing
from flaxlayer_core.trees.roles import Role, decide_role
from flaxlayer_core.trees.variable_layout import VariableLayout
from flaxlayer_core.typing import PyTree, Shaped, Variables

__all__ = ["Inits", "infer_call_spec", "infer_init_form", "infer_module_spec"]

_ABSENT_OR_IMMUTABLE = (
    flax_errors.ModifyScopeVariableError,
    flax_errors.ScopeCollectionNotFound,
    flax_errors.ScopeVariableNotFoundError,
    flax_errors.ScopeParamNotFoundError,
)


@dataclass(frozen=True)
class InitOutcome:
    """What came of an abstract init.

    Attributes:
        variables: What it makes.
        streams: The streams that it draws from.
        trace: The traced init, where it was traced.
    """

    variables: dict[str, PyTree]
    streams: tuple[str, ...]
    trace: InitTrace | None


@dataclass(frozen=True)
class InitFailure:
    """How an abstract init failed.

    Attributes:
        error: What was raised.
        traceback: Where; each time that it is raised, Python adds to what the error itself has.
    """

    error: Exception
    traceback: TracebackType | None


Inits: TypeAlias = dict[bool, InitOutcome | InitFailure]
"""By training flag what came of an init of a module on the same abstract arrays, or how it failed.

A search asks for it again where a call fails, and where a mode may be refused (B6)."""


@dataclass
class _Search:
    """One search, for inputs of known or symbolic sizes.

    Attributes:
        modes: The search for its modes.
        prepare: Whether the initialisers compile meanwhile.
        flag: The training flag of the init that comes first (B2).
        trace: That init, traced, where there was one.
        inits: Those that were tried already.
    """

    modes: ModeSearch
    prepare: bool = False
    flag: bool = True
    trace: InitTrace | None = None
    inits: Inits = field(default_factory=dict)

    @property
    def call(self) -> ModuleCall:
        """The question."""
        return self.modes.trial.call

    def run(self) -> ModuleSpec:
        """Searches for a module that must be applicable."""
        completion = Completion.from_modes(self.modes)
        # A module of nnx has variables of its own, whatever it is given.
        if self.call.given is not None and not self.call.flax_module.facts.has_own_variables:
            found = self._run_given(completion)
            if found is not None:
                return found
        initial, streams = self.first_init()
        found = self._complete(completion, initial, streams, last=not self.flag)
        if found is not None:
            return found
        # B2: a variable that only inference makes comes from an init with the flag off.
        extra, extra_streams = self.init(training=False)
        streams = tuple(sorted({*streams, *extra_streams}))
        found = self._complete(completion, fill_missing(initial, extra), streams, last=True)
        assert found is not None
        return replace(found, init_modes=(True, False))

    def _run_given(self, completion: Completion) -> ModuleSpec | None:
        # B4: where the method can be applied to what was given, and makes no further state.
        try:
            found = completion.plan(completion.given, ())
        except UNTRACEABLE:
            raise
        except Exception:  # in any way: it comes again when what is missing is initialised
            return None
        if found.late:
            return None
        return self._with_streams(found) if holds_forms(self.call.given) else found

    def first_init(self) -> tuple[dict[str, PyTree], tuple[str, ...]]:
        """Initialises with the flag on; off where the module may refuse training and does."""
        try:
            return self.init(training=True)
        except Exception as error:  # in any way: it may lack what only training takes
            if True not in self.modes.refusable or isinstance(error, UNTRACEABLE):
                raise
        self.flag = False
        return self.init(training=False)

    def _with_streams(self, found: ModuleSpec) -> ModuleSpec:
        # Only the form was given: values come from init as far as it makes such variables.
        try:
            _, streams = self.first_init()
        except Exception:  # in any way: what was given whole needs no init that works
            return found
        return replace(found, init_streams=streams, init_modes=(self.flag,))

    def _complete(
        self,
        completion: Completion,
        made: dict[str, PyTree],
        streams: tuple[str, ...],
        *,
        last: bool,
    ) -> ModuleSpec | None:
        try:
            found = completion.plan(completion.fill(made), streams)
        except UNTRACEABLE:
            raise
        except Exception as error:  # what is wrong may be what was given
            if not last and (completion.given or isinstance(error, _ABSENT_OR_IMMUTABLE)):
                return None
            refusal = completion.refuse(made)
            if refusal is None:
                raise
            raise refusal from error
        unplaced = completion.unplaced(found, made)
        if (unplaced or found.late) and not last:
            return None
        if unplaced and (refusal := completion.refuse(made, unplaced=unplaced)):
            raise refusal
        return replace(found, init_modes=(self.flag,))

    def run_tolerant(self) -> ModuleSpec:
        """Searches for a module that may only be initialised with such inputs."""
        try:
            return self.run()
        except UNTRACEABLE:
            raise
        except Exception:  # any module may fail in any way on inputs that are not a call's
            made, streams = self.first_init()
        completion = Completion.from_modes(self.modes)
        # Other shapes of state may be those of a call.
        if refusal := completion.refuse(made, only=Role.TRAINABLE):
            raise refusal
        variables = completion.fill(made)
        roles = {
            name: self.modes.named_role(name) or decide_role(stable=not holds_tuples(tree))
            for name, tree in variables.items()
        }
        stored = {n: t for n, t in variables.items() if roles[n] is not Role.TRANSIENT}
        layout = VariableLayout.from_variables(stored, roles)
        return ModuleSpec(
            layout,
            stored,
            streams,
            (self.flag,),
            ModePlan.unapplied(training=True),
            ModePlan.unapplied(training=False),
            self.call.flax_module,
            traceable=self.modes.trial.abstract,
        )

    def run_stored(self, variables: Variables) -> ModuleSpec:
        """Searches for how a call is made on what a layer stores already."""
        # What is stored has its role, whatever its collection is called.
        modes = replace(self.modes, kept=frozenset(variables))
        found = modes.run(variables, ())
        found = replace(found, late=find_late(self.call, found))
        refuse_late(self.call, found)
        return found

    def init(self, *, training: bool) -> tuple[dict[str, PyTree], tuple[str, ...]]:
        """Returns the variables that init makes, abstract, and the streams that it draws from."""
        if training not in self.inits:
            try:
                self.inits[training] = self._init(training)
            except Exception as error:  # in any way: it would fail again
                self.inits[training] = InitFailure(error, error.__traceback__)
        outcome = self.inits[training]
        if isinstance(outcome, InitFailure):
            raise outcome.error.with_traceback(outcome.traceback)
        if training is self.flag:
            self.trace = outcome.trace
        return outcome.variables, outcome.streams

    def _init(self, training: bool) -> InitOutcome:
        call, trial = self.call, self.modes.trial
        traced: InitTrace | None = None

        def run(streams: tuple[str, ...]) -> dict[str, PyTree]:
            nonlocal traced
            if not trial.abstract:
                init = partial(call.init, training=training)
                made: dict[str, PyTree] = trial.evaluate(init, trial.keys(streams), trial.arrays)
                return made
            traced = trace_init(call, streams, trial.arrays, training=training)
            if self.prepare and traced.sized and not traced.needs(1):
                # S3: what fails in a thread can take the process with it.
                if call.bound is None:
                    refuse_unaddressable(traced.made(), title=call.title)
                else:
                    traced.check_made(call.bound)
                traced.prepare()
            variables: dict[str, PyTree] = traced.result
            return variables

        found = find_streams(call.flax_module, run, start=("params",), listed=None, optimistic=True)
        return InitOutcome(*found, traced)


def infer_module_spec(
    call: ModuleCall,
    arrays: Sequence[Shaped],
    *,
    abstract: bool = True,
    applied: bool = True,
    prepare: bool = False,
    refusable: frozenset[bool] = frozenset(),
    inits: Inits | None = None,
) -> tuple[ModuleSpec, InitTrace | None]:
    """Finds the variables, roles and streams of a module for given arrays.

    Args:
        call: The module and its call.
        arrays: Abstract arrays; concrete ones if `abstract` is False.
        abstract: Whether to evaluate by `jax.eval_shape`, or op by op for a module that branches
            on values.
        applied: Whether the module must be applicable to these arrays, not only initialisable.
        prepare: Whether the initialisers compile meanwhile, because initial values come next.
        refusable: The modes that the module may refuse, as long as it runs in the other one.
        inits: Inits of the module on these arrays that are known already, and a place for others.

    Returns:
        What was found; and the traced init, where there was one. No array is made when `abstract`.

    Raises:
        jax.errors.ConcretizationTypeError: If the module branches on values and `abstract`.

    Example:

    ```python
    >>> import flax.linen as nn, jax, jax.numpy as jnp
    >>> from flaxlayer_core.trees.arguments import partition
    >>> from flaxlayer_core.modules.linen import LinenModule
    >>> from flaxlayer_core.modules.signatures import MethodSignature
    >>> module = LinenModule(nn.Dropout(0.5))
    >>> method = MethodSignature.from_method(module, None)
    >>> x = jax.ShapeDtypeStruct((2, 3), jnp.float32)
    >>> arrays, structure = partition((x,), {})
    >>> found, _ = infer_module_spec(ModuleCall(module, method, method, structure), arrays)
    >>> found.training.streams, found.inference.streams
    (('dropout',), ())

    ```
    """
    modes = ModeSearch(Trial(call, tuple(arrays), abstract), refusable=refusable)
    search = _Search(modes, prepare, inits={} if inits is None else inits)
    found = search.run() if applied else search.run_tolerant()
    return found, search.trace


def infer_call_spec(
    call: ModuleCall,
    arrays: Sequence[Shaped],
    variables: Variables,
    *,
    abstract: bool = True,
    refusable: frozenset[bool] = frozenset(),
) -> ModuleSpec:
    """Finds how a further call is made on what a layer stores, such as that of another method.

    Args:
        call: The module and its call.
        arrays: Abstract arrays; concrete ones if `abstract` is False.
        variables: What the layer stores.
        abstract: As for `infer_module_spec`.
        refusable: The modes that the module may refuse, as long as it runs in the other one: it may
            take labels in training alone.

    Returns:
        What was found.

    Raises:
        BuildModuleError: If the call makes further state.
        jax.errors.ConcretizationTypeError: If the module branches on values and `abstract`.
    """
    modes = ModeSearch(Trial(call, tuple(arrays), abstract), refusable=refusable)
    return _Search(modes).run_stored(variables)


def infer_init_form(call: ModuleCall, arrays: Sequence[Shaped]) -> Variables:
    """Returns the variables that init makes for abstract arrays, abstract."""
    return _Search(ModeSearch(Trial(call, tuple(arrays), abstract=True))).init(training=True)[0]
