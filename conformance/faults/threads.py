"""Layers that several threads cannot call, or that lose things around them (§5, §7)."""

from __future__ import annotations

import threading
from typing import ClassVar

from conformance.faults.entry import fault
from flaxlayer import FlaxLayer
from flaxlayer_testing.checks.threads import COUNT


@fault("check_threads", "KeepLawError", "cannot be called by several threads")
class BuildsInEachThread(FlaxLayer):
    together: ClassVar = threading.Barrier(COUNT)

    def _settle(self, arrays, structure):
        if self._settled:
            return
        if threading.current_thread() is not threading.main_thread():
            self.together.wait()
        self._settle_for(arrays, structure)
