"""The program's commands to the workers of a cluster: stop attempts, end a process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, Final

from pipeloom.engine.executors.dask.cluster import Cluster
from pipeloom.engine.executors.dask.wire import control_topic

_RESTART_AFTER_S: Final = 1.0
_RESTART_TIMEOUT_S: Final = 10.0


class WorkerControl:
    """Sends commands to all workers; each acts on those for its own attempts. Does not block, and gets no answer."""

    def __init__(self, run: str, cluster: Cluster) -> None:
        self._topic = control_topic(run)
        self._cluster = cluster

    def stop(self, keys: Sequence[str]) -> None:
        """Ask attempts to stop, by their Dask keys."""
        self._send({"stop": keys})

    def kill(self, key: str, address: str, is_over: Callable[[], bool]) -> None:
        """End the process that runs an attempt: by a command, and unless `is_over()` a second later by its nanny."""
        self._send({"kill": key})

        def restart() -> None:
            if not is_over() and self._cluster.is_reachable:
                # The cluster is being closed meanwhile, or the worker is gone: Dask then raises a KeyError.
                with suppress(OSError, RuntimeError, TimeoutError, CancelledError, KeyError):
                    self._cluster.client.restart_workers([address], timeout=_RESTART_TIMEOUT_S, raise_for_error=False)

        timer = threading.Timer(_RESTART_AFTER_S, restart)
        timer.daemon = True
        timer.start()

    def _send(self, command: dict[str, Any]) -> None:
        if self._cluster.is_reachable:
            self._cluster.client.loop.add_callback(self._publish, command)

    async def _publish(self, command: dict[str, Any]) -> None:
        with suppress(OSError, RuntimeError):  # the scheduler is gone, which other code notices
            await self._cluster.client.scheduler.log_event(topic=self._topic, msg=command)
