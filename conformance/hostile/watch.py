"""What a load does beside its result: imports, files, processes, sockets, threads (S2, S6)."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

__all__ = ["CANARY", "Watch", "threads_left"]

CANARY = "hostile_canary"
"""A module that stands on the path, and that only a file names."""

_NEVER = (
    *(
        "subprocess.Popen",
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.fork",
        "os.forkpty",
        "os.kill",
    ),
    *("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto", "urllib.Request"),
    *("pickle.find_class", "ctypes.dlopen", "webbrowser.open"),
)
_CHANGES = (
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.symlink",
    "os.link",
    "os.chmod",
    "os.truncate",
    "os.mkdir",
)
# Whose own work it is to run code that it made: classes of records, and modules of a library.
# Annotations of a known class are text, which is parsed, as are the lines of a traceback. The class
# for a spec is made from a text in which only checked names stand.
_MAKERS = (
    "dataclasses.py",
    "key_arguments.py",
    "traceback.py",
    "generated.py",
    "importlib._bootstrap",
    "collections/__init__.py",
    "/attr/_make.py",
    "kw_only_dataclasses.py",
)
# Keras names TensorFlow and others there, which it imports when it first needs them.
_LAZY = "/keras/src/utils/module_utils.py"
# The standard library's and JAX's own pools, whose threads wait for more work.
_POOLS = ("ThreadPoolExecutor", "asyncio", "jax_", "Dummy", "metadata", "orbax")


class Watch:
    """Collects what happens while it is armed.

    Args:
        folders: Where files may be written.
    """

    def __init__(self, *folders: Path) -> None:
        self.folders = tuple(os.path.realpath(folder) for folder in folders)
        self.armed = False
        self.seen: list[str] = []
        self.known: set[str] = set()
        sys.meta_path.insert(0, self)  # `import_module` tells no audit hook
        sys.addaudithook(self._hook)  # cannot be taken away again, so it sleeps

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Watches what runs inside; what was seen stands in `seen`."""
        self.seen = []
        self.known = {name.partition(".")[0] for name in sys.modules}
        self.armed = True
        try:
            yield
        finally:
            self.armed = False

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.armed and (found := self._judge(event, arguments)):
            self.seen.append(found)

    def _judge(self, event: str, arguments: tuple[Any, ...]) -> str:
        if event in _NEVER:
            return f"{event} {str(arguments)[:100]}"
        if event in ("exec", "compile"):
            return self._run(event, sys._getframe(2))
        if event == "open":
            return self._open(*arguments)
        if event in _CHANGES and not self._is_allowed(_placed(*arguments)):
            return f"{event} {str(arguments[0])[:100]}"
        return ""

    def _run(self, event: str, frame: FrameType) -> str:
        return "" if _is_makers(frame) or _importing(frame) else f"{event} {_caller(frame)}"

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Stands first among the finders of Python, and finds nothing."""
        stranger = self.armed and name.partition(".")[0] not in self.known
        if stranger and not (_is_statement(sys._getframe(1)) or _importing(sys._getframe(1))):
            self.seen.append(f"import of {name}")

    def _open(self, path: Any, mode: Any, flags: Any) -> str:
        writes = any(sign in str(mode or "") for sign in "wax+")
        writes |= bool((flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        foreign = str(path).startswith("/etc/") or CANARY in str(path)
        return f"open {path} {mode}" if foreign or (writes and not self._is_allowed(path)) else ""

    def _is_allowed(self, path: Any) -> bool:
        if isinstance(path, int) or str(path) == os.devnull:
            return True
        real = os.path.realpath(os.fsdecode(path))
        return any(real.startswith(folder + os.sep) or real == folder for folder in self.folders)


def _placed(path: Any, *rest: Any) -> Any:
    """A path that is relative to an open folder, with that folder."""
    folder = rest[-1] if rest and isinstance(rest[-1], int) else -1
    return (
        os.path.join(os.readlink(f"/proc/self/fd/{folder}"), os.fsdecode(path))
        if folder >= 0
        else path
    )


def _files(frame: FrameType | None) -> Iterator[str]:
    while frame is not None:
        yield frame.f_code.co_filename
        frame = frame.f_back


def _caller(frame: FrameType | None) -> str:
    near = [Path(file).name for file in _files(frame) if not file.startswith("<")]
    return f"in {' < '.join(near[:5])}"


def _is_makers(frame: FrameType | None) -> bool:
    near = [file for _, file in zip(range(4), _files(frame), strict=False)]
    return any(maker in file for maker in _MAKERS for file in near)


def _is_statement(frame: FrameType | None) -> bool:
    """Whether the `import` of another library asks, and no function that was given a name."""
    files = [file for file in _files(frame) if "importlib._bootstrap" not in file]
    by_name = "importlib" in files[0] and not files[1].endswith(_LAZY)
    return not by_name and "/flaxlayer" not in files[0]


def _importing(frame: FrameType | None) -> bool:
    """Whether a library is being imported, which may import more in any way."""
    while frame is not None and not frame.f_code.co_filename.endswith("/guarded.py"):
        if frame.f_code.co_name == "<module>":
            return True
        frame = frame.f_back
    return False


def threads_left(before: Iterable[threading.Thread], patience: int) -> Iterator[str]:
    """Yields the threads that were begun since, and do not end in some seconds."""
    for thread in set(threading.enumerate()) - set(before):
        if not thread.name.startswith(_POOLS):
            thread.join(patience)
            if thread.is_alive():
                yield f"the thread {thread.name} is left"
