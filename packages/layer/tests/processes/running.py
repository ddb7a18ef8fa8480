"""Runs a function in several processes that JAX joins over loopback, and brings back what it gave.

A function is named as `module:function`; each process calls it with the same keyword arguments.
"""

import contextlib
import faulthandler
import importlib
import json
import os
import pathlib
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from concurrent.futures import ThreadPoolExecutor, as_completed

ROOT = pathlib.Path(__file__).parents[4]
BOUND = 600
"""How many seconds processes may take that wait for each other, before they are ended."""

_MAIN = "from packages.layer.tests.processes.running import main; main()"


class ProcessesFailedError(AssertionError):
    """A process ended with an error, or did not end: what each of them wrote."""


def run_processes(function, *, count=2, devices=2, bound=BOUND, **arguments):
    """Runs a function in each of several processes.

    Args:
        function: `module:function`, to be imported there.
        count: How many processes.
        devices: How many CPU devices each has.
        bound: After so many seconds all are ended.
        **arguments: What it is called with, which JSON can hold.

    Returns:
        What it returned in each process, by the position of the process.

    Raises:
        ProcessesFailedError: If one failed, or did not end.
    """
    with tempfile.TemporaryDirectory() as folder, _reserved_port() as port:
        children = [
            subprocess.Popen(
                [sys.executable, "-c", _MAIN, function, json.dumps(arguments), folder],
                env=_environment(port, count, index, devices),
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for index in range(count)
        ]
        texts = _wait(children, bound)
        codes = [child.returncode for child in children]
        if any(codes):
            ends = [text.partition("\nExtension modules")[0][-4000:] for text in texts.values()]
            told = (f"process {i} ended with {codes[i]}:\n{ends[i]}" for i in range(count))
            raise ProcessesFailedError("\n".join(told))
        results = (pathlib.Path(folder, str(index)).read_bytes() for index in range(count))
        return [pickle.loads(result) for result in results]


def _wait(children, bound):
    """Waits for all, or ends all when one failed; a process alone would wait for it in vain."""

    def read(index):
        try:
            return index, children[index].communicate(timeout=bound)[0]
        except subprocess.TimeoutExpired:
            children[index].send_signal(signal.SIGABRT)  # tells where it stands
            return index, f"no end in {bound} seconds\n" + children[index].communicate()[0]

    texts = {}
    with ThreadPoolExecutor(len(children)) as pool:
        for done in as_completed([pool.submit(read, index) for index in range(len(children))]):
            index, texts[index] = done.result()
            if children[index].returncode:
                for other in children:
                    other.kill()
    return dict(sorted(texts.items()))


@contextlib.contextmanager
def _reserved_port():
    # gRPC shares the port with a socket that allows it, and no other program gets it meanwhile.
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


def _environment(port, count, index, devices):
    flags = os.environ.get("XLA_FLAGS", "").split()
    flags = [flag for flag in flags if "host_platform_device_count" not in flag]
    flags.append(f"--xla_force_host_platform_device_count={devices}")
    return {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": f"127.0.0.1:{port}",
        "KERAS_DISTRIBUTION_NUM_PROCESSES": str(count),
        "KERAS_DISTRIBUTION_PROCESS_ID": str(index),
        "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": " ".join(flags),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def main():
    """What runs in each process."""
    import jax
    import keras

    faulthandler.enable()
    function, arguments, folder = sys.argv[1:]
    keras.distribution.initialize()
    module, _, name = function.partition(":")
    try:
        result = getattr(importlib.import_module(module), name)(**json.loads(arguments))
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # at an exit of another kind JAX waits for the other processes
    pathlib.Path(folder, str(jax.process_index())).write_bytes(pickle.dumps(result))
