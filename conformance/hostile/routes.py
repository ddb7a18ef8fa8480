"""Every route, by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from conformance.hostile import archives, checkpoints, commands, configurations, plugins
from conformance.hostile.hdf5_changes import write_foreign
from conformance.hostile.route import Route

__all__ = ["ROUTES", "make_honest"]

_ALL = (
    *configurations.ROUTES,
    *archives.ROUTES,
    *checkpoints.ROUTES,
    *commands.ROUTES,
    *plugins.ROUTES,
)
ROUTES: Mapping[str, Route] = {route.name: route for route in _ALL}


def make_honest(routes: Mapping[str, Route], folder: Path) -> None:
    """Writes the honest things of routes, each into a folder of its name."""
    for name, route in routes.items():
        (folder / name).mkdir(parents=True)
        route.make(folder / name)
    write_foreign(folder.parent / "foreign.h5")
