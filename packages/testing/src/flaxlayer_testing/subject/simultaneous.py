"""Calls that several threads begin at once (A8)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

__all__ = ["call_at_once"]


def call_at_once(
    call: Callable[[], Any], *, threads: int, calls: int = 1
) -> tuple[list[Any], list[Exception]]:
    """Calls a function from several threads, which begin together.

    Args:
        call: The function.
        threads: How many threads.
        calls: How many calls each makes, one after the other.

    Returns:
        What the calls gave, and the errors of the threads that failed, in any order.
    """
    barrier, results, errors = threading.Barrier(threads), list[Any](), list[Exception]()

    def run() -> None:
        barrier.wait()
        try:
            results.extend([call() for _ in range(calls)])
        except Exception as error:  # told by the thread that waits
            errors.append(error)

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return results, errors
