"""The workers of a cluster as they join and leave."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, Final

from pipeloom.code.sources import loaded_sources
from pipeloom.code.version import Version
from pipeloom.engine.executors.dask.cluster import Cluster
from pipeloom.engine.executors.dask.receiver import Receiver
from pipeloom.engine.executors.dask.scheduler_plugin import ReleasePlugin
from pipeloom.engine.executors.dask.stream import WorkerStream
from pipeloom.engine.executors.dask.wire import ReadyWorker, ready_topic
from pipeloom.engine.executors.dask.worker.plugin import CodePlugin, RuntimePlugin

_READY_TIMEOUT_S: Final = 10.0
_JOIN_S: Final = 1.0
_CODES: Final = 2
"""Versions that the cluster keeps: the last, and the one of attempts that are there still."""
_ALL: Final = "all"
"""Dask's topic for events of all workers."""


class ClusterMembership:
    """Keeps a stream for every worker. Calls `changed` on the loop of the client, so it must not block."""

    def __init__(self, run: str, cluster: Cluster, receiver: Receiver, changed: Callable[[], object]) -> None:
        self._run = run
        self._cluster = cluster
        self._receiver = receiver
        self._changed = changed
        self._lock = threading.Lock()
        self._joined = threading.Condition(self._lock)
        self._present: dict[str, WorkerStream] = {}
        """By address: workers that can be given attempts."""
        self._leaving: dict[str, WorkerStream] = {}
        """By address: workers that are gone, and whose last records are being read."""
        self._closed = False
        self._sent = 0
        """Versions of the code that the workers were sent."""
        self._codes: list[str] = []
        """Names of the plugins with the last of them."""

    @property
    def slots(self) -> int:
        """Threads of all present workers."""
        return sum(stream.slots for stream in list(self._present.values()))

    def start(self) -> None:
        """Install the plugins, and wait for the present workers; raises any error of Dask's, and `TimeoutError`."""
        client = self._cluster.client
        client.subscribe_topic(_ALL, self._on_event)
        client.subscribe_topic(ready_topic(self._run), self._on_ready)
        with suppress(ValueError):  # it allows no plugins: a finished attempt may run again if its worker dies at once
            client.register_plugin(ReleasePlugin(self._run, client.id))
        client.register_plugin(RuntimePlugin(self._run, client.id, ours=self._cluster.is_ours))
        for event in client.get_events(ready_topic(self._run)):
            self._on_ready(event)  # published before the scheduler had our subscription
        count = len(self._cluster.info())
        with self._joined:
            if not self._joined.wait_for(lambda: len(self._present) >= count, _READY_TIMEOUT_S):
                raise TimeoutError(
                    f"only {len(self._present)} of {count} workers got ready within {_READY_TIMEOUT_S:g} s"
                )

    def send_code(self, version: Version | None) -> str:
        """Have all workers, later ones included, know the sources of a version; return the key that names them.

        Those of the version before the last are taken back.
        """
        self._sent += 1
        plugin = CodePlugin(self._run, str(self._sent), loaded_sources() if version is None else version.sources)
        self._cluster.client.register_plugin(plugin)
        self._codes.append(plugin.name)
        if len(self._codes) > _CODES:
            self._take_code_back()
        return plugin.key

    def _take_code_back(self) -> None:
        with suppress(ValueError):  # it is not there any more
            self._cluster.client.unregister_worker_plugin(self._codes.pop(0))

    def when_ended(self, address: str, call: Callable[[], object]) -> bool:
        """Have `call` called after the last record of a leaving worker; False when it is not leaving."""
        with self._lock:
            stream = self._leaving.get(address)
            if stream is not None:
                stream.when_ended.append(call)
            return stream is not None

    def close(self) -> None:
        """End the streams and uninstall the plugin, if the scheduler can be reached."""
        self._closed = True
        if not self._cluster.is_reachable:
            return
        with suppress(OSError, RuntimeError, TimeoutError, CancelledError):
            client = self._cluster.client
            client.unsubscribe_topic(_ALL)  # else the scheduler would log an error for the end of each worker
            client.unsubscribe_topic(ready_topic(self._run))
            for stream in list(self._present.values()):
                stream.end()
            for stream in list(self._present.values()):
                stream.join(_JOIN_S)
            if not self._cluster.is_ours:
                client.unregister_worker_plugin(self._run)
                while self._codes:
                    self._take_code_back()

    def _on_event(self, event: tuple[float, Any]) -> None:
        """Handle the death of a worker."""
        what = event[1]
        if self._closed or not isinstance(what, dict) or what.get("action") != "remove-worker":
            return
        with self._lock:
            stream = self._present.pop(what["worker"], None)
            if stream is None:
                return
            self._leaving[stream.address] = stream
        self._cluster.pids.discard(stream.pid)
        stream.end()
        self._changed()

    def _on_ready(self, event: tuple[float, Any]) -> None:
        """Handle a worker that is ready; the event may arrive twice."""
        ready = ReadyWorker(**event[1])
        with self._joined:
            known = self._present.get(ready.address)
            if self._closed or (known is not None and known.queue == ready.queue):
                return
            stream = WorkerStream(self._cluster.client, ready, self._receiver.take, self._on_stream_ended)
            self._present[ready.address] = stream
            if self._cluster.is_ours:
                self._cluster.pids.add(stream.pid)
            self._joined.notify_all()
        self._changed()

    def _on_stream_ended(self, stream: WorkerStream, failure: BaseException | None) -> None:
        """Forget a worker, have its attempts ended, then make the calls that waited for that."""
        with self._lock:
            if self._present.get(stream.address) is stream:
                del self._present[stream.address]
            if self._leaving.get(stream.address) is stream:
                del self._leaving[stream.address]
            waiting, stream.when_ended = stream.when_ended, []
        self._receiver.stream_ended(stream, failure)
        for call in waiting:
            call()
