"""Settings that a configuration loses, each by itself (S1, S4)."""

from functools import partial

from conformance.mutants.entry import mutant

enter = partial(mutant, law="S1", kind="settings")

CONFIG = "flaxlayer/saving/layer_config.py"
METHODS = "flaxlayer/methods.py"

for setting in (
    "rngs",
    "training_arg",
    "rng_args",
    "mask_arg",
    "state_updates",
    "return_sown",
    "losses",
    "seed",
):
    enter(
        f"The configuration loses {setting}",
        CONFIG,
        "**{name: _plain(getattr(settings, name)) for name in PLAIN_SETTINGS},",
        "**{\n"
        "            name: _plain(getattr(settings, name))\n"
        "            for name in PLAIN_SETTINGS\n"
        f'            if name != "{setting}"\n'
        "        },",
    )
enter(
    "The configuration loses the roles of collections",
    CONFIG,
    '        "collections": {name: list(v) for name, v in asdict(settings.collections).items()},\n',
    "",
)
enter(
    "The configuration loses the form of given variables",
    CONFIG,
    '        **({} if given_form is None else {"given": encode_given(given_form)}),\n',
    "",
    law="B4",
)
enter(
    "The configuration loses what is frozen",
    CONFIG,
    '"frozen": hosted.frozen.to_config(),',
    '"frozen": [],',
    law="C5",
)
enter(
    "The configuration loses what a built layer has frozen",
    "flaxlayer/weights/freezing.py",
    "return [*sorted(map(format_path, self.paths)), *waiting]",
    "return waiting",
    law="C5",
)
enter(
    "A configuration does not freeze what it says",
    "flaxlayer/layer.py",
    "        hosted.frozen.wait_for(stored.frozen)\n",
    "",
    law="C5",
)
enter(
    "The configuration loses whether a dtype was given",
    CONFIG,
    '"explicit_dtype": hosted.has_own_dtype,',
    '"explicit_dtype": False,',
    law="A7",
)
enter(
    "The configuration loses the method",
    CONFIG,
    '"method": _carried_method(layer, "method", settings.method, hosted.method),',
    '"method": None,',
)
enter(
    "The configuration loses the initialising method",
    CONFIG,
    '        "init_method": _carried_method(\n'
    '            layer, "init_method", settings.init_method, hosted.init_method\n'
    "        ),\n",
    '        "init_method": None,\n',
)
enter(
    "The configuration loses which layers share weights",
    CONFIG,
    '"sharing": hosted.sharing_token,',
    '"sharing": None,',
    law="S4",
)
enter(
    "The configuration of a method loses its training argument",
    METHODS,
    '"training_arg": self._training_arg,',
    '"training_arg": None,',
)
enter(
    "The configuration of a method loses its mask argument",
    METHODS,
    '"mask_arg": self._mask_arg,',
    '"mask_arg": "auto",',
)
enter(
    "A file does not say which inputs its weights were built for",
    "flaxlayer/saving/weights_files.py",
    "    store[RECORD] = encode_record(inputs)\n",
    "",
    law="W4",
)
mutant(
    "A function that is a method is not known to configurations",
    "flaxlayer/handed_names.py",
    "    remember([module, *methods])\n",
    "    remember([module])\n",
    law="S2",
    kind="names",
)
mutant(
    "Classes and functions among the arguments of a call are not known to configurations",
    "flaxlayer/handed_names.py",
    "    remember([value for _, value in structure.statics])\n",
    "",
    law="S2",
    kind="names",
)
mutant(
    "What only Keras's registry knows is not found in a file",
    "flaxlayer/saving/names.py",
    "add_registry(lambda: list(keras.saving.get_custom_objects().values()))\n",
    "",
    law="S2",
    kind="names",
)
