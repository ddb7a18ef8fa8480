"""Given variables and initial values (B2, B4)."""

from functools import partial

from conformance.mutants.entry import mutant

enter = partial(mutant, law="B4", kind="given")
init = partial(mutant, law="B2", kind="init")

SEARCH = "flaxlayer_core/discovery/search.py"
INITIAL = "flaxlayer_core/discovery/initial_values.py"
GIVEN = "flaxlayer_core/discovery/given_variables.py"

enter(
    "Given variables are initialised all the same",
    SEARCH,
    "if self.call.given is not None and not self.call.flax_module.facts.has_own_variables:",
    "if self.call.given is None and not self.call.flax_module.facts.has_own_variables:",
)
enter(
    "What is given beside what the module makes is left out",
    GIVEN,
    "return fill_missing(variables, subtract_tree(without_none(self.given), made))",
    "return variables",
)
enter(
    "A given entry that nobody knows is stored",
    SEARCH,
    "if unplaced and (refusal := completion.refuse(made, unplaced=unplaced)):",
    "if last and (refusal := None):",
)
enter(
    "Given arrays are those that Keras gives away",
    INITIAL,
    "        return jnp.array(leaf)\n",
    "        return jnp.asarray(leaf)\n",
)
enter(
    "What is missing beside given variables is zero",
    INITIAL,
    "_formed(made.get(path), leaves[path])",
    "_formed(None if given else made.get(path), leaves[path])",
)
enter(
    "A given collection that passes by is left out though a call reads it",
    GIVEN,
    "        if read:\n            found = replace",
    "        if not read:\n            found = replace",
)
init(
    "Initial values come of an init with the flag off",
    INITIAL,
    "_init(request, training=training)",
    "_init(request, training=not training)",
)
init(
    "A variable that only inference makes begins as zero",
    INITIAL,
    "    for training in spec.init_modes:\n",
    "    for training in spec.init_modes[:1]:\n",
)
init(
    "Where inference makes more, all values come of an init with the flag off",
    INITIAL,
    "made = {**_init(request, training=training), **made}",
    "made = {**made, **_init(request, training=training)}",
)
init(
    "The initialising method is that of the call",
    "flaxlayer_core/discovery/module_call.py",
    "            method=self.init_method.method,\n",
    "            method=self.method.method,\n",
)
init(
    "Init draws each stream from the key of params",
    "flaxlayer_core/discovery/streams.py",
    '    drawn = tuple(sorted(record.drawn & set(offered)))\n    if "params" in start:\n',
    '    drawn = tuple(sorted(record.drawn & set(offered)))\n    if "params" in start:\n'
    '        drawn = ()\n    if "params" in start:\n',
)
