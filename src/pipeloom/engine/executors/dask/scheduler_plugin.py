"""The plugin on the Dask scheduler that releases each attempt of a run as soon as it has finished.

When a worker dies that holds a result which a client still wants, Dask runs the task again on another worker
(dask/distributed#7870). The results of an attempt do not go through Dask, so the scheduler need not keep it. The
program releases it too, but only some milliseconds later, when it has read the end of the attempt.
"""

from __future__ import annotations

from typing import Any

from distributed import Scheduler, SchedulerPlugin


class ReleasePlugin(SchedulerPlugin):  # type: ignore[misc]
    """Releases the finished attempts of a run; removed with the run's client."""

    idempotent = True

    def __init__(self, run: str, client_id: str) -> None:
        self.name = run
        self._prefix = f"{run}-"
        self._client_id = client_id
        self._scheduler: Scheduler

    async def start(self, scheduler: Scheduler) -> None:
        """Keep the scheduler."""
        self._scheduler = scheduler

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Release a finished task on the next turn of the loop: the scheduler is still changing its state.

        The scheduler yields to its loop after each batch of a worker's messages (`Server.handle_stream`), so the
        release precedes all later messages of that worker, its end included.
        """
        if finish == "memory" and isinstance(key, str) and key.startswith(self._prefix):
            self._scheduler.loop.add_callback(self._release, key)

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Remove the plugin when its client is gone, by its own close or by its death."""
        if client == self._client_id:
            scheduler.remove_plugin(self.name)

    def _release(self, key: str) -> None:
        if self._client_id in self._scheduler.clients:
            self._scheduler.client_releases_keys([key], self._client_id)
