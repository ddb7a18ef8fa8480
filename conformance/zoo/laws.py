"""Entries that stand for laws: a module that a law is about, and a program where no check is."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from conformance.zoo import probes
from conformance.zoo.calls import Masked
from conformance.zoo.entry import Entry, X, linen, normal

__all__ = ["ENTRIES"]


class Mode(enum.Enum):
    """A choice."""

    PLAIN = "plain"
    NEGATED = "negated"


class Fields(nn.Module):
    """Fields of every kind that a configuration has to store."""

    dtype: Any
    mode: Mode
    activation: Callable[..., Any]
    kernel_init: Callable[..., Any]
    inner: nn.Module
    sizes: tuple[int, ...]
    table: dict[str, Any]
    spec: PartitionSpec

    @nn.compact
    def __call__(self, x):
        for size in self.sizes:
            dense = nn.Dense(size, kernel_init=self.kernel_init, param_dtype=self.dtype)
            x = self.activation(dense(x)) * self.table["gain"]
        return self.inner(-x if self.mode is Mode.NEGATED else x)


class Flagged(nn.Module):
    """Dropout and state behind one training argument."""

    def run(self, x, training):
        x = nn.Dropout(0.5, deterministic=not training)(x)
        return nn.BatchNorm(use_running_average=not training)(x)


class Training(Flagged):
    """`training`, without a default."""

    @nn.compact
    def __call__(self, x, training):
        return self.run(x, training)


class IsTraining(Flagged):
    """`is_training`, by keyword only, with a default."""

    @nn.compact
    def __call__(self, x, *, is_training=True):
        return self.run(x, is_training)


class Eval(Flagged):
    """`eval`, which means inference."""

    @nn.compact
    def __call__(self, x, eval=True):
        return self.run(x, not eval)


class RunningAverage(Flagged):
    """`use_running_average`, which means inference."""

    @nn.compact
    def __call__(self, x, use_running_average):
        return self.run(x, not use_running_average)


class Frozen(Flagged):
    """A name that only the user knows."""

    @nn.compact
    def __call__(self, x, frozen):
        return self.run(x, not frozen)


class TwoInputs(nn.Module):
    """Two positional arrays of other shapes."""

    @nn.compact
    def __call__(self, a, b):
        return nn.Dense(3)(a) + nn.Dense(3)(b)


def fields():
    return Fields(
        jnp.bfloat16,
        Mode.NEGATED,
        nn.gelu,
        nn.initializers.variance_scaling(2.0, "fan_in", "normal"),
        nn.Dense(2),
        (4, 3),
        {"gain": 2.0, "more": [1, None]},
        PartitionSpec("data", None),
    )


def law(module, *names, inputs=(X,), probe=None, **options):
    covers = tuple(f"law.{name}" for name in names)
    return linen(module, *inputs, covers=covers, probe=probe, **options)


FLAGS = (
    law(Training, "A2"),
    law(IsTraining, "A2"),
    law(Eval, "A2"),
    law(RunningAverage, "A2"),
    law(Frozen, "A2", training_arg="~frozen"),
)

ENTRIES: tuple[Entry, ...] = (
    *FLAGS,
    law(probes.Kept, "C1", probe=probes.partition_is_undone_by_merge, name="Partition"),
    law(probes.Kept, "C4", probe=probes.nothing_is_half_written, name="AtomicState"),
    law(probes.Kept, "C5", "W2", "W3", name="FrozenAndFiled"),
    law(TwoInputs, "A1", inputs=(X, normal(2, 3))),
    law(probes.Coder, "A3", probe=probes.methods_share_weights, name="Methods"),
    law(
        Masked,
        "A4",
        inputs=(normal(2, 3, 4), normal(2, 3) > 0),
        probe=lambda: probes.keras_masks_arrive(Masked()),
        name="KerasMask",
    ),
    law(probes.Branches, "A6", inputs=(abs(X),), probe=probes.branches_run_op_by_op),
    law(probes.Kept, "A7", probe=probes.a_policy_casts_no_state, name="MixedPolicy"),
    law(probes.Coder, "A8", "A10", "B1", "W4", name="AbstractFirst"),
    law(probes.Kept, "B3", probe=probes.builds_are_alike_anywhere, name="BuiltAnywhere"),
    law(probes.Kept, "B4", probe=probes.given_variables_are_completed, name="Given"),
    law(fields, "S1"),
    law(probes.Coder, "S2", probe=probes.refuses_other_code, name="ClosedWorld"),
    law(probes.Coder, "S3", probe=probes.refuses_what_is_too_deep, name="Bounded"),
    law(probes.Kept, "S4", probe=probes.copies_are_alike, name="Copied"),
)
