"""The inside of a Dask scheduler: has it forget each attempt of a run the moment that it is done.

When the worker that holds a result dies and somebody still wants it, Dask has the task run again elsewhere
(dask/distributed#7870). What comes of an attempt never goes through Dask, so there is nothing to keep; the program lets
go of it as well, but only once it has heard of the end, which takes some milliseconds.
"""

from __future__ import annotations

from typing import Any

from distributed import Scheduler, SchedulerPlugin


class Forgetter(SchedulerPlugin):  # type: ignore[misc]
    """Lets go of what a run's client has asked for when it is done; goes away with the client."""

    idempotent = True

    def __init__(self, run: str, client_id: str) -> None:
        self.name = run
        self._prefix = f"{run}-"
        self._client_id = client_id
        self._scheduler: Scheduler

    async def start(self, scheduler: Scheduler) -> None:
        """Note whose plugin this is."""
        self._scheduler = scheduler

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Note that a task has ended. The scheduler is in the middle of that, so it is forgotten right after.

        After each batch of what a worker says the scheduler gives way to its loop (`Server.handle_stream`), so that
        comes before anything that the same worker says later, its end included.
        """
        if finish == "memory" and isinstance(key, str) and key.startswith(self._prefix):
            self._scheduler.loop.add_callback(self._forget, key)

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Go with the client, however that ended."""
        if client == self._client_id:
            scheduler.remove_plugin(self.name)

    def _forget(self, key: str) -> None:
        if self._client_id in self._scheduler.clients:
            self._scheduler.client_releases_keys([key], self._client_id)
