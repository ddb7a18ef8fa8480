"""The end of a program that fails for a layer as a check of a linen module does (T1)."""

from __future__ import annotations

from flaxlayer_testing.render.program_inputs import call_text
from flaxlayer_testing.run.layer_texts import layer_fields
from flaxlayer_testing.scenario.digits import digits_lines
from flaxlayer_testing.spec.spec import Case
from flaxlayer_testing.subject.subject import Subject

__all__ = ["linen_check_text"]

_SETUP = """\
{digits}{arrays}


def raw(variables, rngs, arrays):
    {merged}
    return module.apply(variables, {call}, rngs=rngs, mutable=nn.DenyList({denied}))


raw = jax.jit(raw)
{built}
variables = layer.flax_variables()
"""

_OUTPUTS = """\
expected, _ = raw(variables, keys(0, {training}), arrays)
same(expected, layer({given}, training={training}))
"""

_TWO_CALLS = """\
for draws in range(2):
    rngs = keys(draws, True), layer.peek_rngs(training=True)
    same(*(jax.tree.map(jax.random.key_data, part) for part in rngs))
    expected, _ = raw(layer.flax_variables(), keys(draws, True), arrays)
    same(expected, layer({given}, training=True))
"""

_STATE = """\
for draws in range({steps}):
    _, updates = raw(variables, keys(draws, {training}), arrays)
    variables |= {{name: tree for name, tree in updates.items() if name in variables}}
    layer({given}, training={training})
same(variables, layer.flax_variables())
"""

_VALUES = """\
from flax.traverse_util import flatten_dict

initial = flatten_dict(dict(module.init(init_keys, {init_call})), keep_empty_nodes=True)
kept = {{path: value for path, value in initial.items() if path[0] in variables}}
# What one mode alone makes is none of init's.
ours = flatten_dict(variables, keep_empty_nodes=True)
same(kept, {{path: value for path, value in ours.items() if path in kept}})
"""

# No value depends on a key that init does not need.
_INIT_KEYS = "{'argument': jax.random.key(0), **init_keys}"

# The text of a check, and the mode of its raw side.
_TEXTS = {
    "check_inference": (_OUTPUTS, False),
    "check_training": (_OUTPUTS, True),
    "check_fresh_keys": (_TWO_CALLS, True),
    "check_state_training": (_STATE, True),
    "check_state_inference": (_STATE, False),
    "check_build_values": (_VALUES, True),
    "check_build_dtypes": (_VALUES, True),
}


def linen_check_text(subject: Subject, case: Case, check: str) -> str:
    """Returns the text of a check of a layer under test, beside the module in raw linen.

    Args:
        subject: The subject of the case.
        case: A case of linen.
        check: The name of a check that can be printed.

    Returns:
        What to append to the program of the case.
    """
    text, training = _TEXTS[check]
    denied = ["params", *(() if training else sorted(subject.oracle.denied))]
    fields = {
        "digits": "".join(f"{line}\n" for line in digits_lines(subject.oracle.computed_dtypes)),
        "call": call_text(case.spec, training=training, keys="rngs"),
        "init_call": call_text(case.spec, training=True, keys=_INIT_KEYS),
        "denied": repr(denied),
        **layer_fields(case),
        "training": training,
        "steps": 3 if training else 2,
    }
    return (_SETUP + "\n" + text).format(**fields)
