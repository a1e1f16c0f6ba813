"""The plugin that Dask installs on every worker, later ones included, and the function that Dask runs there."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from typing import Final

from distributed import Worker, WorkerPlugin, get_worker

from pipeloom.engine.capture import capture
from pipeloom.engine.executors.dask.log_routing import LOGGERS, quiet_loop_errors
from pipeloom.engine.executors.dask.worker.runtime import WorkerRuntime
from pipeloom.loader import Source

_NICENESS: Final = 10
"""The program has priority, as over worker processes."""

_runtimes: dict[tuple[str, str], WorkerRuntime] = {}
"""By run and address of the worker: one process may hold several workers."""


def run_attempt(run: str, key: str, number: tuple[int, int], code: bytes, task: bytes) -> None:
    """Run an attempt. Dask calls this; the results go through the runtime, not through Dask."""
    worker = get_worker()
    _runtimes[run, worker.address].run(key, number, code, task)


class RuntimePlugin(WorkerPlugin):  # type: ignore[misc]
    """Starts the `WorkerRuntime` of a run on a worker, and closes it."""

    idempotent = True

    def __init__(self, run: str, client_id: str, sources: tuple[Source, ...], *, ours: bool) -> None:
        self.name = run
        self._run = run
        self._client_id = client_id
        self._sources = sources
        self._ours = ours
        """Whether the cluster belongs to the run: the worker then is a process on the program's machine."""

    async def setup(self, worker: Worker) -> None:
        """Start the runtime, which publishes that the worker is ready."""
        if self._ours:
            _configure_own_process()
        runtime = WorkerRuntime(self._run, worker, self._sources, None if self._ours else self._client_id)
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
