"""How many bytes this process has, and how many of them it can still get (S3).

What the machine has is not what a process gets: the control groups that it runs in, and its own
resource limits, may leave it less.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import jax

from flaxlayer.backends import current_backend
from flaxlayer.compat.keras_loads import current_load
from flaxlayer_core import SizeBound

__all__ = ["Account", "free_bytes", "note_taken", "size_bound", "total_bytes"]

PROC = Path("/proc")
# Names in a group of version 1 and of version 2: the limit, what is in use, and of that what the
# kernel gives back when it is asked for memory.
_FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}


@dataclass
class Account:
    """What the layers of one load take together, whether they have it already or not.

    Attributes:
        free: The bytes that were free when the load began.
        taken: The bytes of the variables that its layers have got since.
    """

    free: int
    taken: int = 0

    def left(self) -> int:
        """Returns the bytes that a further layer can have."""
        return min(free_bytes(), self.free - self.taken)


def _current_account() -> Account | None:
    # That of the load that runs in this thread.
    load = current_load()
    if load is None:
        return None
    if "memory" not in load:
        load["memory"] = Account(free_bytes())
    account: Account = load["memory"]
    return account


def _left() -> int:
    account = _current_account()
    return free_bytes() if account is None else account.left()


def note_taken(count: int) -> None:
    """Adds bytes to what the load that runs in this thread has taken; nothing outside of any."""
    account = _current_account()
    if account is not None:
        account.taken += count


def size_bound(title: str) -> SizeBound:
    """Returns what the sizes of a stored configuration are held against.

    Args:
        title: What to name in an error.
    """
    return SizeBound(title, total_bytes, _left)


def total_bytes() -> int:
    """Returns the bytes that this process could have if it had none yet.

    Example:

    ```python
    >>> 0 < free_bytes() <= total_bytes()
    True

    ```
    """
    devices = _device_bytes(lambda stats: stats["bytes_limit"])
    limits = [limit for limit, _ in (*_groups(), *_resource_limits())]
    host = min([_physical_bytes(), *limits])
    return _processes() * (host if devices is None else devices)


def free_bytes() -> int:
    """Returns the bytes that this process can still get, 0 if none.

    These are those of the machine, of each control group that the process is in, and of its own
    limits; on an accelerator, those of its devices. What Keras distributes has the room of all
    processes.
    """
    devices = _device_bytes(lambda stats: stats["bytes_limit"] - stats["bytes_in_use"])
    left = [limit - used for limit, used in (*_groups(), *_resource_limits())]
    host = max(0, min([_available_bytes(), *left]))
    return _processes() * (host if devices is None else devices)


def _processes() -> int:
    return 1 if current_backend().distribution() is None else jax.process_count()


def _device_bytes(count: Callable[[dict[str, int]], int]) -> int | None:
    # Initial values are made where JAX computes. A CPU has no figures of its own.
    if jax.default_backend() == "cpu":
        return None
    devices = jax.local_devices()
    devices = devices[:1] if current_backend().distribution() is None else devices
    stats = [device.memory_stats() for device in devices]
    known = [each for each in stats if each and {"bytes_limit", "bytes_in_use"} <= each.keys()]
    return sum(map(count, known)) if len(known) == len(stats) else None


def _physical_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _available_bytes() -> int:
    found = _read_table(PROC / "meminfo").get("MemAvailable:")
    return _physical_bytes() if found is None else found << 10


def _resource_limits() -> Iterator[tuple[int, int]]:
    pages = _read(PROC / "self" / "statm").split()
    if len(pages) < 6:
        return
    size = os.sysconf("SC_PAGE_SIZE")
    for kind, used in ((resource.RLIMIT_AS, pages[0]), (resource.RLIMIT_DATA, pages[5])):
        limit, _ = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY:
            yield limit, int(used) * size


def _groups() -> Iterator[tuple[int, int]]:
    """Yields the limit and the use of each control group that bounds this process."""
    for version, group, top in _own_groups():
        limit_file, use_file, reclaimed = _FILES[version]
        for folder in (group, *group.parents):
            limit, used = _number(folder / limit_file), _number(folder / use_file)
            if limit is not None and used is not None:
                # What the kernel keeps of files gives way.
                kept = _read_table(folder / "memory.stat").get(reclaimed, 0)
                yield limit, max(0, used - kept)
            if folder == top:
                break


def _own_groups() -> Iterator[tuple[int, Path, Path]]:
    """Yields the version, the folder and the top folder of each hierarchy of memory groups."""
    paths = dict(_memberships())
    for line in _read(PROC / "self" / "mountinfo").splitlines():
        fields, _, kind = line.partition(" - ")
        root, point = fields.split()[3:5]
        options = kind.split()
        version = {"cgroup": 1, "cgroup2": 2}.get(options[0] if options else "")
        if version not in paths or (version == 1 and "memory" not in options[-1].split(",")):
            continue
        # In a container the top of what is mounted may be the group itself.
        path = paths[version]
        inner = path[len(root) :] if path.startswith(root) and root != "/" else path
        folder = Path(point) / inner.lstrip("/")
        yield version, folder if folder.is_dir() else Path(point), Path(point)


def _memberships() -> Iterator[tuple[int, str]]:
    for line in _read(PROC / "self" / "cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            yield 1, path
        elif number == "0" and not controllers:
            yield 2, path


def _number(path: Path) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdigit() else None


def _read_table(path: Path) -> dict[str, int]:
    rows = [line.split() for line in _read(path).splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # no such system, or not ours to read
        return ""
