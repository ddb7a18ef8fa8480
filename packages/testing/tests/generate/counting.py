"""Counts what strategies draw, for the floors of their tests."""

from collections import Counter

from hypothesis import HealthCheck, Phase, given, seed, settings

from flaxlayer_testing import spec_traits

__all__ = ["EXAMPLES", "QUIET", "count_drawn"]

QUIET = settings(suppress_health_check=list(HealthCheck))
EXAMPLES = 2000


def count_drawn(strategy):
    """Returns how often cases show a feature, an operation, a batch size, and how many differ."""
    counts, drawn = Counter(), set()

    @seed(0)
    @settings(QUIET, max_examples=EXAMPLES, derandomize=False, phases=[Phase.generate])
    @given(strategy)
    def draw(case):
        counts.update(spec_traits(case.spec).features)
        counts.update(f"op {node.op}" for node in case.spec.nodes)
        counts.update({"op": len(case.spec.nodes), "examples": 1, "object": bool(case.instance)})
        counts[f"batch {case.batch_size}"] += 1
        drawn.add(case.spec)

    draw()
    counts["distinct"] = len(drawn)
    return counts
