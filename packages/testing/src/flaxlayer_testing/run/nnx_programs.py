"""The end of a program that fails for a layer as a check of an nnx module does (T1)."""

from __future__ import annotations

from flaxlayer_testing.render.program_inputs import call_text
from flaxlayer_testing.run.layer_texts import layer_fields
from flaxlayer_testing.spec.spec import Case
from flaxlayer_testing.subject.subject import Subject

__all__ = ["nnx_check_text"]

_SETUP = """\
def near(expected, actual):
    for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(actual), strict=True):
        a, b = (bits(leaf).astype(np.float64) for leaf in (a, b))
        assert a.shape == b.shape and np.allclose(a, b, 1e-3, 1e-3), f'{{a}} != {{b}}'


{built}
raw = module if isinstance(module, nnx.Module) else module(rngs=nnx.Rngs(**init_keys))
graph, state = nnx.split(raw)
raw = nnx.merge(graph, state)


def both(training, draws=0):
    drawn = keys(draws, training)
    nnx.reseed(raw, policy='match_shape', **drawn)
    (raw.train if training else raw.eval)()
    expected = raw({trained}) if training else raw({predicted})
    near(expected, layer({given}, training=training))
"""

_CALLS = {
    "check_inference": "both(False)",
    "check_training": "both(True)",
    "check_fresh_keys": """\
for draws in range(2):
    for name, key in layer.peek_rngs(training=True).items():
        assert (jax.random.key_data(key) == jax.random.key_data(keys(draws, True)[name])).all()
    both(True, draws)""",
    "check_state_training": """\
for draws in range(3):
    both(True, draws)
both(False, 3 if keys(0, True) else 0)""",
    "check_state_inference": "for draws in range(3):\n    both(False, draws)",
}
_VALUES = """\
ours = layer.to_module()
near(*(jax.tree.leaves(nnx.state(m, nnx.Not(nnx.RngState))) for m in (raw, ours)))"""


def nnx_check_text(subject: Subject, case: Case, check: str) -> str:
    """Returns the text of a check of a layer under test, beside the module in plain NNX.

    Args:
        subject: The subject of the case.
        case: A case of nnx.
        check: The name of a check that can be printed.

    Returns:
        What to append to the program of the case.
    """
    del subject  # plain NNX keeps its own state
    text = _SETUP.format(
        **layer_fields(case),
        trained=call_text(case.spec, training=True, keys="drawn"),
        predicted=call_text(case.spec, training=False, keys="drawn"),
    )
    return f"{text}\n\n{_CALLS.get(check, _VALUES)}"
