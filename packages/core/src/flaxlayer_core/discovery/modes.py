"""The modes of a module: the roles of its collections, and how each mode is run (C2, C3, R1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from flaxlayer_core.discovery.mode_plans import find_plan
from flaxlayer_core.discovery.module_spec import ModePlan, ModuleSpec
from flaxlayer_core.discovery.trials import Trial
from flaxlayer_core.jaxprs.traced import UNTRACEABLE
from flaxlayer_core.trees.roles import Role, decide_role
from flaxlayer_core.trees.structures import same_structure, wider_dtypes
from flaxlayer_core.trees.variable_layout import VariableLayout
from flaxlayer_core.typing import PyTree, Variables

__all__ = ["ModeSearch"]

# From bool over integers and floats to complex numbers.
_WIDENINGS = 4


@dataclass(frozen=True)
class ModeSearch:
    """Applies a module to variables until it is known how each mode is run.

    Attributes:
        trial: The module, and the arrays that it is applied to.
        kept: Collections that are stored, whatever the policy or their kind says: those that a
            layer stores already, and given ones that a call reads (B4).
        refusable: The modes that the module may refuse, as long as it runs in the other one.
    """

    trial: Trial
    kept: frozenset[str] = frozenset()
    refusable: frozenset[bool] = frozenset()

    def run(self, variables: Variables, init_streams: tuple[str, ...]) -> ModuleSpec:
        """Finds the roles of collections and how the module is applied in each mode.

        Args:
            variables: What init made, transient collections included.
            init_streams: The streams that init draws from.

        Returns:
            What was found; state whose dtype calls widen is in the wider dtype (C2).
        """
        found = self._run(variables, init_streams)
        for _ in range(_WIDENINGS):
            wider = _widened(found)
            if wider is None:
                break
            found = self._run({**variables, **wider}, init_streams)
        return found

    def _run(self, variables: Variables, init_streams: tuple[str, ...]) -> ModuleSpec:
        policy = self.trial.call.policy
        # C3: no call changes params, whatever a policy makes of them.
        fixed = {"params"} | (set(policy.trainable) - set(policy.state))
        fixed |= {name for name in variables if self.named_role(name) is Role.TRAINABLE}
        fed = {n: tree for n, tree in variables.items() if self.named_role(n) is not Role.TRANSIENT}
        known, first = self._first(fed, fixed)
        roles = known._roles(fed, first)
        stored = {name: fed[name] for name in fed if roles[name] is not Role.TRANSIENT}
        if len(stored) < len(fed):
            # C2: what init sowed is not fed to calls, and must not be to the plan.
            known, first = known._planned(stored, first.training, fixed)
        known, inference = known._second(stored, fixed, roles, first)
        for name in set(inference.updates) - set(roles):
            roles[name] = known._roles(stored, inference)[name]
        layout = VariableLayout.from_variables(stored, roles)
        return ModuleSpec(
            layout,
            stored,
            init_streams,
            (True,),
            first if first.training else ModePlan.unapplied(training=True),
            inference,
            known.trial.call.flax_module,
            traceable=self.trial.abstract,
        )

    def _first(self, fed: Variables, fixed: set[str]) -> tuple[ModeSearch, ModePlan]:
        """Returns the plan of training; that of inference where the module refuses training."""
        try:
            return self._planned(fed, True, fixed)
        except Exception as error:  # in any way: it may lack what only training takes
            if True not in self.refusable or isinstance(error, UNTRACEABLE):
                raise
        return self._planned(fed, False, fixed)

    def _second(
        self, stored: Variables, fixed: set[str], roles: Mapping[str, Role], first: ModePlan
    ) -> tuple[ModeSearch, ModePlan]:
        """Returns the plan of inference."""
        try:
            return self._extended_by(lambda: self._inference(stored, fixed, roles, first))
        except Exception as error:  # in any way: it may be given what only training takes
            refusable = False in self.refusable and first.training
            if not refusable or isinstance(error, UNTRACEABLE):
                raise
        return self, ModePlan.unapplied(training=False)

    def _planned(
        self, variables: Variables, training: bool, denied: set[str]
    ) -> tuple[ModeSearch, ModePlan]:
        return self._extended_by(lambda: find_plan(self.trial, variables, training, denied))

    def _extended_by(self, run: Callable[[], ModePlan]) -> tuple[ModeSearch, ModePlan]:
        plan, flax_module = self.trial.call.flax_module.extended_by(run)
        call = replace(self.trial.call, flax_module=flax_module)
        return replace(self, trial=replace(self.trial, call=call)), plan

    def named_role(self, collection: str) -> Role | None:
        """Returns the role by the policy, else by the kind of its variables (C2).

        Args:
            collection: The name of a collection.

        Returns:
            The role; None where calls must tell.
        """
        named = self.trial.call.policy.role(collection)
        named = named or self.trial.call.flax_module.facts.default_role(collection)
        return Role.STATE if named is Role.TRANSIENT and collection in self.kept else named

    def _roles(self, fed: Variables, plan: ModePlan) -> dict[str, Role]:
        moved = [
            name
            for name, tree in plan.updates.items()
            if self.named_role(name) is None
            and not (name in fed and same_structure(fed[name], tree))
        ]
        again: Variables = {}
        if moved:
            changed = {**fed, **plan.updates}
            _, again = self.trial.apply(
                changed, plan.streams, plan.training, plan.denied, plan.optional_keys
            )
        names = {*fed, *plan.updates}
        return {
            name: self.named_role(name)
            or decide_role(
                stable=name not in moved or same_structure(plan.updates[name], again.get(name))
            )
            for name in names
        }

    def _inference(
        self,
        stored: Variables,
        fixed: set[str],
        roles: Mapping[str, Role],
        first: ModePlan,
    ) -> ModePlan:
        state = {name for name in stored if roles[name] is Role.STATE}
        modes = self.trial.call.flax_module.facts.has_modes
        flagged = modes or self.trial.call.method.flags or first.streams or self.trial.call.keys
        if not flagged and not state:
            return replace(first, training=False)
        # C3: the usual module leaves its state alone when it may not change it: one trace.
        quiet = self._attempt(stored, fixed | state)
        if quiet is not None:
            return quiet
        denied = {name for name in state if self._attempt(stored, fixed | {name})}
        plan = self._attempt(stored, fixed | denied) if denied else None
        return plan or find_plan(self.trial, stored, False, fixed)

    def _attempt(self, stored: Variables, denied: set[str]) -> ModePlan | None:
        try:
            return find_plan(self.trial, stored, False, denied)
        except Exception:  # a module may insist in any way; a real fault comes again
            return None


def _widened(found: ModuleSpec) -> dict[str, PyTree] | None:
    wider: dict[str, PyTree] = {}
    for plan in (found.training, found.inference):
        for name, tree in plan.updates.items():
            if name in found.variables and found.layout.role(name) is Role.STATE:
                widened = wider_dtypes(wider.get(name, found.variables[name]), tree)
                wider |= {} if widened is None else {name: widened}
    return wider or None
