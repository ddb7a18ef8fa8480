"""Arguments that reach the method in another role, in another order, or as something else (A1)."""

from functools import partial

from conformance.mutants.entry import mutant

enter = partial(mutant, law="A1", kind="arguments")
built = partial(mutant, law="B1", kind="surroundings")

ARGUMENTS = "flaxlayer_core/trees/arguments.py"
EAGER = "flaxlayer/calls/eager_calls.py"

enter(
    "Static arguments count by their values, not by their types",
    ARGUMENTS,
    "    return type(value), value\n",
    "    return (value,)\n",
)
enter(
    "Static arguments count by their types, not by their values",
    ARGUMENTS,
    "tuple((index, *_identity(value)) for index, value in self.statics)",
    "tuple((index, type(value)) for index, value in self.statics)",
)
enter(
    "The names of keyword arguments do not tell short calls apart",
    EAGER,
    "tuple(map(type, args)), tuple(kwargs), tuple(map(type, kwargs.values()))",
    "tuple(map(type, args)), tuple(map(type, kwargs.values()))",
)
enter(
    "None and an array in its place are one kind of short call",
    EAGER,
    "tuple(map(type, args)), tuple(kwargs), tuple(map(type, kwargs.values()))",
    "len(args), tuple(kwargs)",
)
enter(
    "Short calls take keyword arrays in the order of the caller",
    EAGER,
    "named = dict(sorted(kwargs.items()))",
    "named = dict(kwargs)",
)
enter(
    "A key among the arguments is made again as one of the default kind",
    "flaxlayer_core/trees/parts.py",
    "jax.random.wrap_key_data(data, impl=value.impl)",
    "jax.random.wrap_key_data(data)",
)
enter(
    "An unhashable static argument is accepted as it is",
    ARGUMENTS,
    "digest = hash((self.treedef, identity, self.numbers))",
    "digest = hash((self.treedef, str(identity), self.numbers))",
)
built(
    "A list of shapes stands for several arguments, whatever the method takes",
    "flaxlayer/inputs.py",
    "len(argument) == _required(call) > 1",
    "len(argument) > 1",
)
