"""Layers that several threads cannot call, or that lose things around them (§5, §7)."""

from __future__ import annotations

import threading
import weakref
from typing import ClassVar

from conformance.faults.entry import fault
from conformance.faults.parts import FaultyRunner, rounded
from flaxlayer.building import LayerBuilder
from flaxlayer.calls.settling import Settler
from flaxlayer_testing.checks.threads import COUNT


@fault("check_threads", "KeepLawError", "does not have its weights once")
class BuildsInEachThread(Settler):
    together: ClassVar = threading.Barrier(COUNT, timeout=60)
    turns: ClassVar = threading.Lock()
    waited: ClassVar = weakref.WeakSet()

    def settle(self, arrays, structure, *, refusable=frozenset()):
        thread = threading.current_thread()
        if thread is threading.main_thread() or thread in self.waited:
            super().settle(arrays, structure, refusable=refusable)
            return
        self.waited.add(thread)
        self.together.wait()
        with self.turns:  # one after the other, so that each search finds the same
            self._runner.hosted.weights = None
            self.settle_for(arrays, structure, refusable)
        self.together.wait()


def _elsewhere():
    return threading.current_thread() is not threading.main_thread()


@fault("check_threads", "ParityError", "variables built by several threads")
class InitialisesOtherwiseInThreads(LayerBuilder):
    def create(self, *inputs):
        self._hosted.seed += _elsewhere()
        super().create(*inputs)
        self._hosted.seed -= _elsewhere()


@fault("check_threads", "ParityError", "outputs in a thread")
class RoundsInThreads(FaultyRunner):
    def execute(self, arrays, structure, training):
        arrays = [rounded(array) for array in arrays] if _elsewhere() else arrays
        return super().execute(arrays, structure, training)


@fault("check_threads", "KeepLawError", "cannot be called by several threads")
class RunsInOneThread(FaultyRunner):
    def execute(self, arrays, structure, training):
        if _elsewhere():
            raise RuntimeError
        return super().execute(arrays, structure, training)
