"""When state is written, and in which form (C2 to C4)."""

from functools import partial

from conformance.mutants.entry import mutant

enter = partial(mutant, kind="state")

HOSTED = "flaxlayer/hosted.py"
WHEN = 'when == "never" or (when == "training" and not training)'

enter(
    "State that is to be kept in training is kept at inference",
    HOSTED,
    WHEN,
    'when == "never" or (when == "training" and training)',
    law="C3",
)
enter(
    "State that is never to be kept is kept",
    HOSTED,
    WHEN,
    '(when == "training" and not training)',
    law="C3",
)
enter(
    "By default state is kept in training alone",
    "flaxlayer/settings.py",
    '        "always",\n        \'When changed',
    '        "training",\n        \'When changed',
    law="C3",
)
enter(
    "The seed moves on only where state does",
    "flaxlayer/calls/runner.py",
    "if result.seed is not None:\n            writes.append",
    "if writes and result.seed is not None:\n            writes.append",
    law="R2",
)
enter(
    "State that comes back in another dtype is written",
    "flaxlayer/program.py",
    "        if found != spec:\n",
    "        if found.shape != spec.shape:\n",
    law="C4",
)
enter(
    "At inference a module may change all of its state",
    "flaxlayer_core/discovery/modes.py",
    "quiet = self._attempt(stored, fixed | state)",
    "quiet = self._attempt(stored, fixed)",
    law="C3",
)
enter(
    "Params that a policy makes state may change in a call",
    "flaxlayer_core/discovery/modes.py",
    'fixed = {"params"} | (set(policy.trainable) - set(policy.state))',
    "fixed = set(policy.trainable) - set(policy.state)",
    law="C3",
)
enter(
    "State whose dtype widens stays narrow",
    "flaxlayer_core/discovery/modes.py",
    "            wider = _widened(found)\n",
    "            wider = None\n",
    law="C2",
)
enter(
    "State that a call makes is made anew in each call",
    "flaxlayer_core/modules/lazy_state.py",
    "hidden if name in made else {**late, **hidden}",
    "{**late, **hidden}",
    law="C2",
)
enter(
    "State that a call makes is handed back before it is made",
    "flaxlayer_core/modules/lazy_state.py",
    "made = {name for name in self._late if bool(stored[name][MADE])}",
    "made = set(self._late)",
    law="W2",
)
enter(
    "A stateless call reads what the layer stores",
    "flaxlayer/weights/variables.py",
    "        if private_keras.in_stateless_scope():\n"
    "            return [variable.value for variable in self.variables]\n",
    "",
    law="A6",
)
mutant(
    "A collection that calls alone make passes by",
    "flaxlayer_core/discovery/modes.py",
    "stable=name not in moved or same_structure(plan.updates[name], again.get(name))",
    "stable=name not in moved",
    law="C2",
    kind="roles",
)
mutant(
    "A collection that grows with each call is stored",
    "flaxlayer_core/discovery/modes.py",
    "stable=name not in moved or same_structure(plan.updates[name], again.get(name))",
    "stable=name in fed\n"
    "                or name not in moved\n"
    "                or same_structure(plan.updates[name], again.get(name))",
    law="C2",
    kind="roles",
)
mutant(
    "A policy of collections loses what it says of state",
    "flaxlayer_core/trees/roles.py",
    "            state=self.state,\n",
    "",
    law="C2",
    kind="roles",
)
