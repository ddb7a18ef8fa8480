"""The settings of a layer in a scenario: what may be drawn of each, and what it means (T9)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from flaxlayer import CollectionPolicy
from flaxlayer_testing.oracle.model import LawSettings, part_of, path_names
from flaxlayer_testing.oracle.oracle import Oracle
from flaxlayer_testing.oracle.variable_trees import random_like
from flaxlayer_testing.scenario.held import takes_arrays
from flaxlayer_testing.scenario.setting_kinds import (
    Drawn,
    Setting,
    SettingText,
    given_text,
    no_text,
)
from flaxlayer_testing.spec.spec import FLAG_NAMES, Case
from flaxlayer_testing.spec.typing import spec_traits
from flaxlayer_testing.subject.subject import Subject

__all__ = [
    "SETTINGS",
    "called_by",
    "select_paths",
    "settings_of",
    "shows_unknown",
]


def _sows(oracle: Oracle, case: Case, value: Any) -> bool:
    return bool(oracle.sows)


def _dtype(drawn: Drawn, value: str, oracle: Oracle, case: Case) -> Drawn:
    policy = keras.dtype_policies.get(value)
    laws = {"compute_dtype": policy.compute_dtype, "stored_dtype": policy.variable_dtype}
    return drawn.giving(dtype=value).meaning(**laws)


def _global_policy(drawn: Drawn, value: str, oracle: Oracle, case: Case) -> Drawn:
    if "dtype" in drawn.arguments:
        return drawn
    compute = keras.dtype_policies.get(value).compute_dtype
    return replace(drawn.meaning(compute_dtype=compute), policy=value)


def _policy_text(drawn: Drawn, value: str, case: Case) -> SettingText:
    if drawn.policy is None:
        return SettingText()
    return SettingText(before=(f"keras.config.set_dtype_policy({value!r})",))


def _fits_dtype(oracle: Oracle, case: Case, value: Any) -> bool:
    policy = keras.dtype_policies.get(value)
    return oracle.traceable and oracle.bears_dtype(policy.compute_dtype)


def _state_updates(drawn: Drawn, value: str, oracle: Oracle, case: Case) -> Drawn:
    return drawn.giving(state_updates=value).meaning(state_updates=value)


def _has_state(oracle: Oracle, case: Case, value: Any) -> bool:
    return bool(oracle.state_collections)


def _losses(drawn: Drawn, value: str, oracle: Oracle, case: Case) -> Drawn:
    names = () if value == "none" else tuple(n for n in oracle.sows)
    return drawn.giving(losses=names).meaning(losses=names)


def _return_sown(drawn: Drawn, value: str, oracle: Oracle, case: Case) -> Drawn:
    names = oracle.sows[:1] if value == "one" else oracle.sows
    return drawn.giving(return_sown=names).meaning(return_sown=names)


def _frozen(drawn: Drawn, value: Any, oracle: Oracle, case: Case) -> Drawn:
    return replace(drawn, frozen=(*drawn.frozen, tuple(value)))


def _has_variables(oracle: Oracle, case: Case, value: Any) -> bool:
    return bool(oracle.stored)


def _trainable(drawn: Drawn, value: bool, oracle: Oracle, case: Case) -> Drawn:
    return replace(drawn.giving(trainable=value), trainable=value)


def _no_mask(drawn: Drawn, value: None, oracle: Oracle, case: Case) -> Drawn:
    return replace(drawn.giving(mask_arg=None), hides_masks=True)


def _no_training(drawn: Drawn, value: str, oracle: Oracle, case: Case) -> Drawn:
    policy = CollectionPolicy(state=("params",))
    return drawn.giving(collections=policy).meaning(trained=frozenset())


def _no_training_text(drawn: Drawn, value: str, case: Case) -> SettingText:
    return SettingText({"collections": "CollectionPolicy(state=('params',))"})


def _fits_roles(oracle: Oracle, case: Case, value: Any) -> bool:
    return oracle.raw.trainable == {"params"} and bool(oracle.stored.get("params"))


def _build(drawn: Drawn, value: str, oracle: Oracle, case: Case) -> Drawn:
    return replace(drawn, built_late=True)


def _unknown(drawn: Drawn, value: str, oracle: Oracle, case: Case) -> Drawn:
    return replace(drawn, unknown_sizes=True)


def _no_rows(drawn: Drawn, value: int, oracle: Oracle, case: Case) -> Drawn:
    return drawn  # the case itself has them


def _is_empty(oracle: Oracle, case: Case, value: Any) -> bool:
    return case.batch_size == 0


def _seed(drawn: Drawn, value: str, oracle: Oracle, case: Case) -> Drawn:
    return replace(drawn, global_seed=True)


def _seed_text(drawn: Drawn, value: str, case: Case) -> SettingText:
    return SettingText(before=(f"keras.utils.set_random_seed({case.seed})",))


def _variables(drawn: Drawn, value: str, oracle: Oracle, case: Case) -> Drawn:
    given = random_like(dict(sorted(oracle.stored.items())), case.seed)
    if value == "partial":  # every other leaf
        names = sorted(path_names(given))[::2]
        given = part_of(given, frozenset(names))
    elif value == "params":
        given = {name: tree for name, tree in given.items() if name in oracle.raw.trainable}
    elif value == "more":
        given = {**given, "unread": {"values": np.arange(3, dtype=np.float32)}}
    return replace(drawn.giving(variables=given), given=given)


def _variables_text(drawn: Drawn, value: str, case: Case) -> SettingText:
    lines = [f"given = random_like(variables, {case.seed})"]
    if value == "more":
        lines.append("given = {**given, 'unread': {'values': np.arange(3, dtype=np.float32)}}")
    elif value != "whole":
        lines.append(f"given = only(given, {sorted(path_names(drawn.given))})")
    lines += ["variables = filled_in(given, variables)", "given_before = copied(given)"]
    end = "same(given_before, given)"
    return SettingText({"variables": "given"}, values=tuple(lines), end=(end,))


def _fits_given(oracle: Oracle, case: Case, value: Any) -> bool:
    if value == "more" and not oracle.raw.takes_unread:
        return False
    return oracle.traceable and bool(oracle.stored) and not _has_keys(oracle.stored)


def _has_keys(tree: Any) -> bool:
    leaves = jax.tree_util.tree_leaves(tree)
    return any(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in leaves)


def shows_sown(case: Case) -> bool:
    """Tells whether the module of a case sows, by its spec."""
    return bool(spec_traits(case.spec).transient)


def shows_state(case: Case) -> bool:
    """Tells whether the module of a case has state, by its spec."""
    return bool(spec_traits(case.spec).state)


def shows_unknown(case: Case) -> bool:
    """Tells whether the module of a case takes other sizes beside the batch."""
    return bool(case.unknown)


def _takes_arrays(oracle: Oracle, case: Case, value: Any) -> bool:
    return bool(case.unknown) and takes_arrays(oracle)


# How the module is called.


def _flagged(subject: Subject, value: str) -> Subject:
    assert subject.case is not None
    flag = subject.case.spec.flag
    assert flag is not None
    same = FLAG_NAMES[flag.name] == (value == "said")
    return replace(subject, training_arg=flag.name if same else f"~{flag.name}")


def _says_flag(drawn: Drawn, value: str, oracle: Oracle, case: Case) -> Drawn:
    return drawn.giving(training_arg=oracle.raw.training_arg)


_BY_CALL = "encode, init by call"


def _encoding(subject: Subject, value: str) -> Subject:
    return replace(subject, method="encode", init_method="__call__" if value == _BY_CALL else None)


def _method(drawn: Drawn, value: str, oracle: Oracle, case: Case) -> Drawn:
    init_method = "__call__" if value == _BY_CALL else None
    return drawn.giving(method="encode", init_method=init_method)


def _draws_by_name(case: Case) -> bool:
    # What a layer fills names its own.
    traits, filled = spec_traits(case.spec), any(extra.kind.stream for extra in case.spec.extras)
    drawn = traits.training_streams | traits.always_streams
    return bool(drawn) and not filled


def _drawn_streams(oracle: Oracle) -> tuple[str, ...]:
    drawn = (oracle.drawn_streams(training=mode) for mode in (True, False))
    return tuple(sorted(frozenset[str]().union(*drawn)))


def _fits_listed(oracle: Oracle, case: Case, value: Any) -> bool:
    return bool(_drawn_streams(oracle))


def _listing(subject: Subject, value: str) -> Subject:
    names = _drawn_streams(subject.oracle) if value == "drawn" else (value,)
    return replace(subject, listed=names)


def _lists(drawn: Drawn, value: str, oracle: Oracle, case: Case) -> Drawn:
    return drawn.giving(rngs=tuple(sorted(oracle.raw.listed or ())))


SETTINGS: Mapping[str, Setting] = {
    "build": Setting(("late",), _build, laws=("B3", "A8"), text=no_text),
    "collections": Setting(
        ("params_as_state",), _no_training, _fits_roles, ("C2",), text=_no_training_text
    ),
    "dtype": Setting(
        ("mixed_bfloat16", "bfloat16", "float16", "float32"),
        _dtype,
        _fits_dtype,
        ("A7", "C6"),
        text=given_text("dtype"),
    ),
    "empty_batch": Setting((0,), _no_rows, _is_empty, ("A1", "B1"), text=no_text),
    "frozen": Setting(
        (("leaf", 0), ("collection", 0), ("leaf", 1), ("collection", 1), ("all", 0)),
        _frozen,
        _has_variables,
        ("C5",),
        text=no_text,  # the lines that make a layer freeze it
    ),
    "losses": Setting(
        ("none", "all"), _losses, _sows, ("C7",), shows_sown, text=given_text("losses")
    ),
    "mask_arg": Setting(
        (None,),
        _no_mask,
        laws=("A4",),
        wants=lambda case: case.spec.mask,
        text=given_text("mask_arg"),
        place="behind_mask",
    ),
    "method": Setting(
        ("encode", _BY_CALL),
        _method,
        laws=("A3", "B2"),
        wants=lambda case: case.spec.encoder > 0,
        text=given_text("method", "init_method"),
        call=_encoding,
    ),
    "policy": Setting(
        ("mixed_bfloat16", "bfloat16"), _global_policy, _fits_dtype, ("A7",), text=_policy_text
    ),
    "return_sown": Setting(
        ("one", "all"), _return_sown, _sows, ("C7",), shows_sown, text=given_text("return_sown")
    ),
    "rngs": Setting(
        ("params", "drawn"),
        _lists,
        _fits_listed,
        ("R1",),
        _draws_by_name,
        given_text("rngs"),
        _listing,
        only="linen",
    ),
    "seed": Setting(("global",), _seed, laws=("R3",), text=_seed_text),
    "state_updates": Setting(
        ("training", "never", "always"),
        _state_updates,
        _has_state,
        ("C3",),
        shows_state,
        text=given_text("state_updates"),
    ),
    "trainable": Setting(
        (False,), _trainable, _has_variables, ("C5",), text=given_text("trainable")
    ),
    "training_arg": Setting(
        ("turned", "said"),
        _says_flag,
        laws=("A2",),
        wants=lambda case: case.spec.flag is not None,
        text=given_text("training_arg"),
        call=_flagged,
    ),
    "unknown_sizes": Setting(
        ("beside the batch",), _unknown, _takes_arrays, ("B1",), shows_unknown, text=no_text
    ),
    "variables": Setting(
        ("whole", "partial", "params", "more"),
        _variables,
        _fits_given,
        ("B4",),
        text=_variables_text,
    ),
}
"""The settings by name; each is drawn with one of its values, or left at the layer's default."""


def called_by(options: Mapping[str, Any], subject: Subject) -> Subject:
    """Returns a subject whose module is called as settings say.

    Args:
        options: Values by the names of settings.
        subject: The module of a case.
    """
    for name, value in options.items():
        setting, case = SETTINGS[name], subject.case
        assert case is not None
        if setting.call is not None and setting.fits(subject.oracle, case, value):
            subject = setting.call(subject, value)
    return subject


def settings_of(
    options: Mapping[str, Any], oracle: Oracle, case: Case
) -> tuple[Drawn, dict[str, Any]]:
    """Returns what settings mean for a module.

    Args:
        options: Values by the names of settings.
        oracle: The module, run by raw Flax.
        case: The case of the scenario.

    Returns:
        What they mean, and those of them that mean something for this module.
    """
    drawn = Drawn({}, LawSettings(case.seed))
    kept = {}
    for name, value in options.items():
        if name in ("dtype", "policy") and "collections" in options:
            continue  # what is cast is what is trained
        setting = SETTINGS[name]
        if setting.fits(oracle, case, value):
            drawn, kept[name] = setting.apply(drawn, value, oracle, case), value
    return drawn, kept


def select_paths(selector: tuple[str, int], paths: Any) -> tuple[str, frozenset[str]]:
    """Returns the pattern of a selector, and what it selects among paths (C5).

    Args:
        selector: `("leaf", k)`: the path of that number; `("collection", k)`: a whole collection;
            `("all", 0)`: every path.
        paths: Paths of variables.

    Returns:
        A pattern for `freeze`, and the paths that it has to select.
    """
    known = sorted(paths)
    kind, number = selector
    if kind == "leaf":
        path = known[number % len(known)]
        return path, frozenset({path})
    if kind == "all":
        return "**", frozenset(known)
    collections = sorted({path.partition("/")[0] for path in known})
    chosen = collections[number % len(collections)]
    return f"{chosen}/**", frozenset(p for p in known if p.startswith(f"{chosen}/"))
