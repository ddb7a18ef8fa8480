"""Modules of nnx: modes, streams, sharing, and the user's own object (A2, C2, R1, W2)."""

from functools import partial

from conformance.mutants.entry import mutant

enter = partial(mutant, kind="nnx")

MODULE = "flaxlayer_core/modules/nnx/module.py"
MODES = "flaxlayer_core/modules/nnx/mode_attributes.py"
VARIABLES = "flaxlayer_core/modules/nnx/graph_variables.py"

enter(
    "Only the outermost module is told its mode",
    MODULE,
    "set_modes((node for node in nodes if isinstance(node, nnx.Module)), modes)",
    "set_modes([module], modes)",
    law="A2",
)
enter(
    "A mode that nobody has set yet is not told",
    MODES,
    "    if name in _OF_FLAX:\n        return hasattr(module, name)\n",
    "",
    law="A2",
)
enter(
    "Streams that are split are not reseeded by their shapes",
    "flaxlayer_core/modules/nnx/call_streams.py",
    "        if stream.key.tag in named:\n",
    "        if stream.key.tag in named and not stream.key.shape:\n",
    law="R1",
)
enter(
    "A stream goes on from the counts that the user's object had",
    "flaxlayer_core/modules/nnx/graph.py",
    "(rng_values[path] if path in rng_values else made(self.rng_specs[path]))",
    "made(self.rng_specs[path])",
    law="W2",
)
enter(
    "Handing back a module changes the user's object",
    MODULE,
    "        use_fast_counts(rng_streams(module), quickly=False)\n        return module\n",
    "        use_fast_counts(rng_streams(module), quickly=False)\n"
    "        if self._exists:\n"
    "            nnx.update(self._module, nnx.state(module, nnx.Param))\n"
    "        return module\n",
    law="W2",
)
enter(
    "A subclass of Param is not trained",
    VARIABLES,
    "    if issubclass(variable_type, nnx.Param):\n        return Role.TRAINABLE\n",
    "    if variable_type is nnx.Param:\n        return Role.TRAINABLE\n",
    law="C2",
)
enter(
    "A module that changes a plain attribute is not refused",
    MODULE,
    "        if form.paths == frozenset(values) and form.graphdef != graph:\n"
    "            raise self._changed_graph()\n",
    "",
    law="C2",
)
enter(
    "A variable among the outputs stays one",
    MODULE,
    "return _plain(outputs), self._updates(form, values, after, mutable)",
    "return outputs, self._updates(form, values, after, mutable)",
    law="A5",
)
