"""Dtypes of policies, at the call and in store (A7, C6)."""

from functools import partial

from conformance.mutants.entry import mutant

enter = partial(mutant, law="A7", kind="policies")

PROGRAM = "flaxlayer/program.py"
CAST = "if self.compute_dtype and jnp.issubdtype(value.dtype, jnp.floating):"

enter(
    "A policy casts state at the call",
    PROGRAM,
    "return [self._cast(value) if layout.optimizes(spec) else value for value, spec in pairs]",
    "return [self._cast(value) for value, spec in pairs]",
)
enter(
    "A policy does not cast params at the call",
    PROGRAM,
    "return [self._cast(value) if layout.optimizes(spec) else value for value, spec in pairs]",
    "return [value for value, spec in pairs]",
)
enter(
    "A policy does not cast inputs",
    PROGRAM,
    "            self._cast_arguments(arrays),\n",
    "            list(arrays),\n",
)
enter(
    "A policy makes complex numbers real",
    PROGRAM,
    CAST,
    "if self.compute_dtype and jnp.issubdtype(value.dtype, jnp.inexact):",
)
enter(
    "A policy casts a number of Python",
    PROGRAM,
    "array if index in numbers else self._cast(array)",
    "self._cast(jnp.asarray(array)) if index in numbers else self._cast(array)",
)
enter(
    "The plain policy casts inputs and params",
    "flaxlayer/hosted.py",
    "if self.has_own_dtype or layer.dtype_policy.name != keras.config.floatx():",
    "if layer.dtype_policy.name:",
)
enter(
    "A mixed global policy stores half params in single precision",
    "flaxlayer/building.py",
    "variable_dtype=layer.variable_dtype if self._hosted.has_own_dtype else None,",
    "variable_dtype=layer.variable_dtype,",
    law="C6",
)
enter(
    "A dtype that is given does not change what is stored",
    "flaxlayer/building.py",
    "variable_dtype=layer.variable_dtype if self._hosted.has_own_dtype else None,",
    "variable_dtype=None,",
)
enter(
    "A dtype that is given changes how state is stored",
    "flaxlayer/weights/variables.py",
    "if variable_dtype and floating and layout.optimizes(spec):",
    "if variable_dtype and floating:",
    law="C6",
)
