"""Checks of settings: each is in the configuration, and comes back from it (§8)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flaxlayer import CollectionPolicy
from flaxlayer_testing.checks.needs import Need
from flaxlayer_testing.checks.registry import check
from flaxlayer_testing.checks.weights import distinct
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.subject.layer import variables_of
from flaxlayer_testing.subject.subject import Subject

__all__ = ["SETTINGS", "check_given_form", "check_settings"]

SETTINGS: Mapping[str, Any] = {
    "name": "of_another_name",
    "trainable": False,
    "dtype": "mixed_bfloat16",
    "method": "__call__",
    "init_method": "__call__",
    "seed": 12345,
    "rngs": ("another_stream",),
    "mask_arg": None,
    "state_updates": "training",
    "return_sown": ("another_collection",),
    "losses": ("other_losses",),
    "collections": CollectionPolicy(transient=("another_collection",)),
    "native_serialization_platforms": ("cpu", "tpu"),
}
"""Another value than the default for each setting that fits any module."""


@check("S1", "S4")
def check_settings(subject: Subject) -> None:
    """Each setting of a layer is in its configuration, and comes back from it."""
    plain = _configuration(subject.new_layer())
    for name, value in SETTINGS.items():
        changed: Mapping[str, Any] = {"seed": subject.seed, "name": plain["name"], name: value}
        _refuse_loss(name, plain, subject.new_layer(**changed))
    frozen = subject.new_layer(name=plain["name"])
    frozen.freeze("**")
    _refuse_loss("frozen", plain, frozen)
    plain = _configuration(frozen)
    frozen.unfreeze("params")
    _refuse_loss("frozen", plain, frozen)


@check("B4", "S4", needs=(Need.VARIABLES,))
def check_given_form(subject: Subject) -> None:
    """The configuration of a layer says that variables were given, and in which form."""
    given = distinct(variables_of(subject.shared_layer()))
    plain = _configuration(subject.new_layer())
    _refuse_loss("variables", plain, subject.new_layer(name=plain["name"], variables=given))


def _configuration(layer: Any) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(json.dumps(layer.get_config()))
    return {name: _in_order(value) for name, value in config.items()}


def _in_order(value: Any) -> Any:
    """Returns what a configuration holds with the items of each dict in an order of their own.

    What `to_dict` of an object lists may come back in another order: nothing is lost by that.
    """
    if isinstance(value, list):
        return [_in_order(part) for part in value]
    if not isinstance(value, dict):
        return value
    found = {name: _in_order(part) for name, part in value.items()}
    if found.get("$type") == "dict" and isinstance(found.get("items"), list):
        found["items"] = sorted(found["items"], key=json.dumps)
    return found


def _refuse_loss(name: str, plain: Mapping[str, Any], layer: Any) -> None:
    config = _configuration(layer)
    # A configuration has the arguments of the layer by their names, and what else there is to keep.
    if config == plain or (name in config and config[name] == plain[name]):
        raise KeepLawError(
            f"The configuration of a layer does not hold the setting {name!r}.",
            expected="another value than that of a layer without it",
            found=f"{name}: {config.get(name)}",
            law="S1",
        )
    again = _configuration(type(layer).from_config(config))
    if again != config:
        lost = sorted(key for key in config if again.get(key) != config[key])
        what = name if name in lost else lost[0]
        raise KeepLawError(
            f"A layer that is made of a configuration lost the setting {what!r}.",
            expected=", ".join(f"{key}: {config[key]}" for key in lost),
            found=", ".join(f"{key}: {again.get(key)}" for key in lost),
            law="S1",
        )
