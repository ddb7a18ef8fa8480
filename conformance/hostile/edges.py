"""Values that stand for many others: where numbers, names and sizes go wrong."""

from __future__ import annotations

__all__ = ["KEYS", "NAMES", "NUMBERS", "PAYLOADS", "TAGS", "TEXTS", "VALUES", "deep", "keyed_alike"]

NUMBERS = (
    *(0, -1, 1, 2, 7, 33, 255, 4096, 65_535, 2**20, 2**31 - 1, 2**31, -(2**31), 2**32, 2**40),
    *(2**53, 2**60, 2**63 - 1, 2**63, -(2**63), 2**64, 10**18, 10**30, 10**400),
    *(0.0, -0.0, 0.5, 1.5, -1e-300, 5e-324, 1e308, float("nan"), float("inf"), float("-inf")),
)
NAMES = (
    *[
        "flax.linen:Dense",
        "flax.linen:relu",
        "flax.linen:Module",
        "flax.linen:Conv",
        "flax.nnx:Linear",
        "flax.linen:scan",
        "flax.linen:jit",
        "flax.linen:RNN",
        "flax.linen:Sequential",
        "Dense",
        "Net",
        "jax.numpy:zeros",
        "jax.numpy:load",
        "jax:pure_callback",
        "jax.nn.initializers:zeros",
        "jax.lax:Precision",
        "conformance.hostile.modules:Net",
        "conformance.hostile.modules:Fields",
        "conformance.hostile.modules:Block",
        "conformance_hostile>Referenced",
        "conformance_hostile>NoModule",
        "conformance.hostile.modules:NoModule",
        "flaxlayer>FlaxLayer",
        "flaxlayer>FlaxMethod",
        "flaxlayer>Slot",
        "flaxlayer>PackedArguments",
        "keras:DTypePolicy",
        "keras.regularizers:L2",
        "keras.layers:Lambda",
        "keras.initializers:Zeros",
        "os:system",
        "os.system",
        "posix:system",
        "builtins:eval",
        "builtins:exec",
        "builtins>eval",
        "builtins:type",
        "subprocess:Popen",
        "importlib:import_module",
        "pickle:loads",
        "ctypes:CDLL",
        "functools:partial",
        "hostile_canary:run",
        "hostile_canary",
        "hostile_canary>run",
        "antigravity",
        "hostile_canary.inner:run",
        "__main__:Net",
        "flax.linen:Dense.__init__",
        "flax.linen:Dense.__globals__",
        "flax.linen:os",
        "__class__",
        "__init__",
        "__call__",
        "_private",
        "mro",
        "encode",
        "apply",
        "init",
        "clone",
        ":",
        ">",
        ".",
    ],
)
TEXTS = (
    *(
        "",
        " ",
        "a",
        "x" * 300,
        "x" * 5_000,
        "x" * (3 << 19),
        "\x00",
        "\x1b[31m",
        "\ud800",
        "\u202e",
        "[/x]",
        "%s",
        "{0}",
    ),
    *(
        "nan",
        "1e999",
        "-0x1",
        "0x" + "f" * 20_000,
        "1" * 10_000,
        "float32",
        "object",
        "bfloat16",
        "O",
        "f4,O",
        "U8",
    ),
    *(
        "a/b",
        "../../etc/passwd",
        "/etc/passwd",
        "a.b.c",
        "params",
        "params/kernel",
        "batch_stats",
        "auto",
        "always",
    ),
    *(
        "**",
        "*",
        "*" * 200,
        "**/" * 60 + "x",
        "a*" * 100 + "b",
        "[",
        "(a+)+$",
        "params/" + "*a" * 80,
    ),
)
TAGS = (
    *[
        "module",
        "tuple",
        "dict",
        "set",
        "frozenset",
        "range",
        "slice",
        "array",
        "bytes",
        "int",
        "float",
        "complex",
        "function",
        "class",
        "method",
        "partial",
        "closure",
        "lifted",
        "enum",
        "dataclass",
        "object",
        "ref",
        "dtype",
        "constant",
        "partition_spec",
        "namedtuple",
        "record",
        "flaxlayer.module",
        "pickle",
        "factory",
        "config_dict",
    ],
)
KEYS = (
    *[
        "class",
        "name",
        "fields",
        "items",
        "id",
        "func",
        "args",
        "keywords",
        "data",
        "shape",
        "dtype",
        "form",
        "hex",
        "config",
        "class_name",
        "registered_name",
        "module",
        "build_config",
        "shared_object_id",
        "sharing",
        "given",
        "variables",
        "method",
        "frozen",
        "seed",
        "layers",
        "inbound_nodes",
        "compile_config",
        "__class__",
        "native_serialization_platforms",
        "start",
        "stop",
        "step",
        "arguments",
        "arrays",
        "root",
        "streams",
        "version",
    ],
    "\x00",
    "",
)
PAYLOADS = ("", "AA==", "AAAA" * 500, "%%%%", "ä===", "A" * 13, "A" * (4 << 20))


def _range(stop: int) -> dict[str, object]:
    return {"$type": "range", "start": 0, "stop": stop, "step": 1}


def _dense(**fields: object) -> dict[str, object]:
    return {
        "$type": "module",
        "class": "flax.linen:Dense",
        "fields": [list(pair) for pair in fields.items()],
    }


VALUES = (
    *(None, True, False, [], {}, [[]], [None], {"a": {"b": 0}}, [0] * 300, [1] * 40, [[1, 2], [3]]),
    *(_range(3), _range(2**40), _range(2**60), _range(-(2**63)), _range(10**30)),
    *({"$type": "ref", "id": 0}, {"$type": "ref", "id": 10**9}, {"$type": "ref", "id": "0"}),
    *({"$type": "function", "name": "os:system"}, {"$type": "class", "name": "flax.linen:Dense"}),
    *(
        {"$type": "tuple", "items": []},
        {"$type": "tuple", "items": [{"$type": "tuple", "items": [0]}]},
    ),
    *(
        _dense(features=3),
        _dense(features=10**18),
        _dense(features=2**31),
        _dense(features=_range(2**40)),
    ),
    *(
        {"class_name": "__lambda__", "config": {"value": "AAAA"}},
        {"class_name": "Lambda", "config": {}},
    ),
    {"module": "hostile_canary", "class_name": "run", "config": {}, "registered_name": "run"},
    {
        "$type": "partial",
        "tree": False,
        "func": {"$type": "function", "name": "os:system"},
        "args": ["id"],
        "keywords": [],
    },
    {"$type": "array", "form": "numpy", "dtype": "float32", "shape": [2**30, 2**30], "data": ""},
)


def deep(levels: int, leaf: object = None) -> object:
    """A list in a list in a list."""
    for _ in range(levels):
        leaf = [leaf]
    return leaf


def keyed_alike(count: int) -> dict[str, object]:
    """A stored set whose items have one hash."""
    return {"$type": "set", "items": [step * (2**61 - 1) for step in range(count)]}
