"""The structure of outputs (A5)."""

from functools import partial

from conformance.mutants.entry import mutant

enter = partial(mutant, law="A5", kind="outputs")

OUTPUTS = "flaxlayer_core/trees/outputs.py"
WRAP = "    if kind in (list, tuple):\n        return kind(map(wrap_statics, outputs))\n"

enter(
    "A named tuple of outputs becomes a plain one",
    OUTPUTS,
    WRAP,
    "    if isinstance(outputs, list | tuple):\n"
    "        made = list if isinstance(outputs, list) else tuple\n"
    "        return made(map(wrap_statics, outputs))\n",
)
enter(
    "A static value among the outputs becomes its text",
    OUTPUTS,
    "return taken if is_array(taken) else Static(taken)",
    "return taken if is_array(taken) else Static(str(taken))",
)
enter(
    "A typed key among the outputs is its data",
    OUTPUTS,
    "    if kind is KeyData:\n        return put_outputs_together(outputs)\n",
    "    if kind is KeyData:\n        return outputs.data\n",
)
