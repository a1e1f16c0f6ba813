"""The plugin that Dask installs on every worker, later ones included, and the function that Dask runs there."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from typing import Final

from distributed import Worker, WorkerPlugin, get_worker

from pipeloom.code.sources import Source
from pipeloom.engine.capture import capture
from pipeloom.engine.executors.dask.log_routing import LOGGERS, quiet_loop_errors
from pipeloom.engine.executors.dask.serialization import unpacked
from pipeloom.engine.executors.dask.worker.runtime import WorkerRuntime

_NICENESS: Final = 10
"""The program has priority, as over worker processes."""

_runtimes: dict[tuple[str, str], WorkerRuntime] = {}
"""By run and address of the worker: one process may hold several workers."""


def run_attempt(run: str, key: str, number: tuple[int, int], code: bytes, task: bytes) -> None:
    """Run an attempt. Dask calls this; the results go through the runtime, not through Dask."""
    worker = get_worker()
    code_key, packed = unpacked(code)
    _runtimes[run, worker.address].run(key, number, (_sources[run, code_key], packed), task)


_sources: dict[tuple[str, str], tuple[Source, ...]] = {}
"""By run and key of the version."""


class CodePlugin(WorkerPlugin):  # type: ignore[misc]
    """Lets a worker know the sources of a version of the user's code."""

    idempotent = True

    def __init__(self, run: str, key: str, sources: tuple[Source, ...]) -> None:
        self.name = f"{run}-code-{key}"
        self.key = key
        self._run = run
        self._sources = sources

    def setup(self, worker: Worker) -> None:  # noqa: ARG002 - all workers of a process share them
        """Keep the sources: they are loaded by the first attempt of the version."""
        _sources[self._run, self.key] = self._sources

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002
        """Forget the sources."""
        _sources.pop((self._run, self.key), None)


class RuntimePlugin(WorkerPlugin):  # type: ignore[misc]
    """Starts the `WorkerRuntime` of a run on a worker, and closes it."""

    idempotent = True

    def __init__(self, run: str, client_id: str, *, ours: bool) -> None:
        self.name = run
        self._run = run
        self._client_id = client_id
        self._ours = ours
        """Whether the cluster belongs to the run: the worker then is a process on the program's machine."""

    async def setup(self, worker: Worker) -> None:
        """Start the runtime, which publishes that the worker is ready."""
        if self._ours:
            _configure_own_process()
        runtime = WorkerRuntime(self._run, worker, None if self._ours else self._client_id)
        _runtimes[self._run, worker.address] = runtime
        capture.start(echo=not self._ours)
        await runtime.start()

    async def teardown(self, worker: Worker) -> None:
        """Stop running attempts and close the runtime."""
        runtime = _runtimes.pop((self._run, worker.address), None)
        if runtime is not None:
            capture.stop()
            await runtime.close()


def _configure_own_process() -> None:
    """Ignore signals that are meant for the program, lower the priority, and keep logs off the program's terminal."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
    os.nice(_NICENESS)
    quiet_loop_errors(asyncio.get_running_loop())
    for name in LOGGERS:
        logging.getLogger(name).handlers = [logging.NullHandler()]
