"""Objects that Keras stored inside a configuration, and that a class will have it make (S2)."""

from __future__ import annotations

__all__ = ["check_nested"]

from collections.abc import Iterator, Mapping

from flaxlayer_core.config.reports import refuse, shorten
from flaxlayer_core.config.walk import Decoder

# Containers, which hold values alone.
_PLAIN = frozenset({"__tuple__", "__ellipsis__", "__slice__"})


def check_nested(config: object, path: str, walk: Decoder) -> None:
    """Raises where `from_config` could have Keras import or make what is not known here.

    Keras takes any mapping with a `"class_name"` for a stored object, and looks for its class in
    modules that it imports by name.

    Raises:
        DecodeModuleError: A stored object of Keras in `config` is not known.
    """
    for nested in _nested(config):
        name = nested["class_name"]
        if not (isinstance(name, str) and name in _PLAIN) and not _is_known(nested, walk):
            raise refuse(
                path,
                expected="stored objects of Keras that are registered, or Keras's own",
                found=shorten(name),
                fix="keras.saving.register_keras_serializable() its class before loading.",
            )


def _nested(config: object) -> Iterator[Mapping[object, object]]:
    pending = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            pending.extend(value.values())
            if "class_name" in value:
                yield value
        elif isinstance(value, (list, tuple, set, frozenset)):
            pending.extend(value)


def _is_known(nested: Mapping[object, object], walk: Decoder) -> bool:
    # In the order in which Keras looks: what is registered, then its own.
    name, module, registered = (
        nested.get(key) for key in ("class_name", "module", "registered_name")
    )
    if name == "function":
        registered, name = nested.get("config"), nested.get("config")
        module = "keras.activations" if module == "builtins" else module
    asked = [registered, f"{module}:{name}"]
    return any(walk.resolve and walk.resolve(each) for each in asked if isinstance(each, str))
