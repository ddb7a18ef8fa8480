"""Unknown and unusual sizes, and dtypes that are only supposed (B1, A10)."""

from functools import partial

from conformance.mutants.entry import mutant

enter = partial(mutant, kind="sizes")
surrounded = partial(mutant, law="A10", kind="surroundings")

SIZES = "flaxlayer_core/discovery/sizes.py"
SHAPES = "flaxlayer_core/shapes.py"

enter(
    "Where sizes cannot be symbols, those that were tried stand in the outputs",
    SIZES,
    "resized = [run(arrays) for _, arrays in inputs.resized]",
    "resized = []",
    law="B1",
)
enter(
    "A param whose shape depends on an unknown size is built for the size that was tried",
    "flaxlayer_core/discovery/build.py",
    "        if other != spec:\n",
    "        if other is None:\n",
    law="B1",
)
enter(
    "A batch of none has no shape",
    "flaxlayer/inputs.py",
    "return value is None or (type(value) is int and 0 <= value < 2**31)",
    "return value is None or (type(value) is int and 0 < value < 2**31)",
    law="B1",
)
surrounded(
    "A dtype that was supposed wrongly stays",
    "flaxlayer/calls/settling.py",
    "            self._builder.build_for(known.corrected(inputs))\n",
    "            cache.take(replace(known, guessed=False))\n",
)
surrounded(
    "An unbuilt Sequential takes tokens for floats",
    "flaxlayer/calls/sequential_inputs.py",
    "            build.retype(dtype)\n",
    "            continue\n",
)
