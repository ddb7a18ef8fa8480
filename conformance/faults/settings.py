"""Layers that lose a setting on its way through the configuration (§8)."""

from __future__ import annotations

from conformance.faults.entry import fault
from flaxlayer import FlaxLayer


@fault("check_settings", "KeepLawError", "does not hold the setting 'state_updates'.")
class StoresNoStateUpdates(FlaxLayer):
    def get_config(self):
        return {**super().get_config(), "state_updates": "always"}


@fault("check_settings", "KeepLawError", "lost the setting 'losses'.")
class LoadsNoLosses(FlaxLayer):
    @classmethod
    def from_config(cls, config):
        return super().from_config({**config, "losses": ["losses"]})


@fault("check_given_form", "KeepLawError", "does not hold the setting 'variables'.")
class StoresNoGivenForm(FlaxLayer):
    def get_config(self):
        config = super().get_config()
        config.pop("given", None)
        return config


@fault("check_settings", "KeepLawError", "does not hold the setting 'frozen'.")
class StoresNothingThatIsThawed(FlaxLayer):
    def get_config(self):
        config = super().get_config()
        return {**config, "frozen": [each for each in config["frozen"] if isinstance(each, str)]}
