"""Weights in files and in trees: entries, values, all or nothing (W1 to W4, S6)."""

from functools import partial

from conformance.mutants.entry import mutant

enter = partial(mutant, law="W3", kind="files")
tree = partial(mutant, law="W2", kind="trees")
path = partial(mutant, law="W1", kind="paths")

FILES = "flaxlayer/saving/weights_files.py"
VARIABLES = "flaxlayer/weights/variables.py"
ASSIGNMENTS = "flaxlayer/saving/assignments.py"
ACCESS = "flaxlayer/access.py"
PATTERNS = "flaxlayer_core/trees/path_patterns.py"

enter(
    "A file with further entries is accepted",
    FILES,
    '        problems += [f"extra {key}" for key in sorted(there - set(expected))]\n',
    "",
)
enter(
    "A file that lacks entries is accepted",
    FILES,
    "        self._check(variables, keys)\n        pairs = variables.items()\n",
    "        variables = {key: variables[key] for key in keys if key in variables}\n"
    "        self._check(variables, keys)\n"
    "        pairs = variables.items()\n",
)
enter(
    "Floats of a file are cut to the integers of a variable",
    FILES,
    "    if _kind(header.dtype) != _kind(variable.dtype):\n"
    '        return f"{key} is {header.dtype}, not {variable.dtype}"\n',
    "",
)
enter(
    "A file that fails half way is loaded by half",
    VARIABLES,
    "            undo.callback(variable.assign, keep(variable))\n",
    "",
    law="S6",
)
enter(
    "Values that fail half way are set by half",
    VARIABLES,
    "            undo.callback(variable.assign, value)\n",
    "            undo.callback(lambda: None)\n",
    law="S6",
)
enter(
    "A file that fails leaves the layer built",
    "flaxlayer/layer_files.py",
    "            with self._builder.restored():\n                self._build_of(file, inputs)\n",
    "            self._build_of(file, inputs)\n",
    law="S6",
)
tree(
    "The module that is handed back is that of the first time",
    ACCESS,
    "        return self._hosted.flax_module.bind(self.flax_variables())\n",
    "        weights = vars(self._hosted.built_weights)\n"
    '        if "_bound" not in weights:\n'
    '            weights["_bound"] = self._hosted.flax_module.bind(self.flax_variables())\n'
    '        return weights["_bound"]\n',
)
tree(
    "The tree that is handed back is that of the first time",
    ACCESS,
    "        return self._hosted.flax_module.raw_variables(stored)\n",
    "        known = vars(weights)\n"
    '        if "_tree" not in known:\n'
    '            known["_tree"] = self._hosted.flax_module.raw_variables(stored)\n'
    '        return known["_tree"]\n',
)
tree(
    "The arrays that are handed back are those that Keras gives away",
    ACCESS,
    "[jnp.copy(value) for value in weights.jax_values()]",
    "list(weights.jax_values())",
)
tree(
    "The arrays that are loaded are those that Keras gives away",
    ASSIGNMENTS,
    "yield variable, to_backend(jnp.array(place_for(variable, value)))",
    "yield variable, to_backend(jnp.asarray(place_for(variable, value)))",
)
tree(
    "Fractions of a tree are cut to the integers of a variable",
    ASSIGNMENTS,
    "        _refuse_losses(fitted, specs, title)\n",
    "",
)
tree(
    "A tree with unknown entries is accepted",
    "flaxlayer_core/trees/matching.py",
    "    found = _placed(kept, wanted)\n    misfits",
    "    found = {p: leaf for p, leaf in _placed(kept, wanted).items() if p in wanted}\n"
    "    misfits",
)
path(
    "The names of weights lack their collection",
    VARIABLES,
    "with _scopes(spec.path[:-1]), backend.creating():",
    "with _scopes(spec.path[1:-1]), backend.creating():",
)
path(
    "Two stars of a pattern stand for one name",
    PATTERNS,
    'nodes = _subtrees(nodes) if part == "**" else _children(nodes, part)',
    'nodes = _children(nodes, "*" if part == "**" else part)',
    law="C5",
)
path(
    "A pattern of an inner node selects nothing below it",
    PATTERNS,
    "        is_selected = is_selected or node.is_selected\n",
    "        is_selected = node.is_selected\n",
    law="C5",
)
