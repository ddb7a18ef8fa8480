"""Where the layer under test raised what a check ended with (T8)."""

from __future__ import annotations

import traceback

__all__ = ["raised_in"]

_HARNESS = "flaxlayer_testing"
_OURS = ("flaxlayer", "flaxlayer_core")


def raised_in(error: BaseException) -> str:
    """Returns the innermost function of the layer under test that an error came through.

    Args:
        error: What a check ended with.

    Returns:
        `module in function`: of this project's layer where it took part, else the innermost outside
        the harness; empty for what the harness raised itself.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    names = [str(frame.f_globals.get("__name__", "")) for frame in frames]
    packages = [name.partition(".")[0] for name in names]
    if not packages or packages[-1] == _HARNESS:
        return ""
    ours = [number for number, package in enumerate(packages) if package in _OURS]
    place = ours[-1] if ours else len(frames) - 1
    return f"{names[place]} in {frames[place].f_code.co_name}"
