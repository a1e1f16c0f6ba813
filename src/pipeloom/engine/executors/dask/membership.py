"""The workers of a cluster, as they come and go: who is there, who is being listened out, and what all are told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, Final

from pipeloom.engine.executors.dask.cluster import Cluster
from pipeloom.engine.executors.dask.scheduler import Forgetter
from pipeloom.engine.executors.dask.stream import Stream, Taker
from pipeloom.engine.executors.dask.worker import Plugin, control_topic, hello_topic
from pipeloom.loader import loaded_sources

_READY_S: Final = 10.0
_INSIST_S: Final = 1.0
_ALL: Final = "all"
"""Dask's own topic, under which the scheduler tells of every worker."""


class Roster:
    """Keeps a stream for every worker. `changed` is called on the loop of the client, so it must not block."""

    def __init__(self, run: str, cluster: Cluster, taker: Taker, changed: Callable[[], object]) -> None:
        self._run = run
        self._cluster = cluster
        self._taker = taker
        self._changed = changed
        self._lock = threading.Lock()
        self._came = threading.Condition(self._lock)
        self._there: dict[str, Stream] = {}
        """By address: workers that can be given attempts."""
        self._ending: dict[str, Stream] = {}
        """Workers that are gone, and whose last words are being read."""
        self._closed = False

    @property
    def slots(self) -> int:
        """Threads of the workers that are there."""
        return sum(stream.slots for stream in list(self._there.values()))

    def muster(self) -> None:
        """Get the workers ready that are there, and those that will be; raises whatever is in the way."""
        client = self._cluster.client
        client.subscribe_topic(_ALL, self._on_event)
        client.subscribe_topic(hello_topic(self._run), self._on_hello)
        with suppress(ValueError):  # it takes no code: what is done may be run again there if its worker dies at once
            client.register_plugin(Forgetter(self._run, client.id))
        client.register_plugin(Plugin(self._run, client.id, loaded_sources(), ours=self._cluster.is_ours))
        for event in client.get_events(hello_topic(self._run)):
            self._on_hello(event)  # said before the scheduler had heard that we listen
        count = len(self._cluster.info())
        with self._came:
            if not self._came.wait_for(lambda: len(self._there) >= count, _READY_S):
                raise TimeoutError(f"only {len(self._there)} of {count} workers got ready within {_READY_S:g} s")

    def tell(self, order: dict[str, Any]) -> None:
        """Tell all workers something; does not block, and nobody answers."""
        self._cluster.client.loop.add_callback(self._log, order)

    def kill(self, key: str, stream: Stream, is_over: Callable[[], bool]) -> None:
        """End the process of a worker: by itself if it listens, else by its nanny."""
        self.tell({"kill": key})

        def insist() -> None:
            if not is_over() and not self._closed and self._cluster.is_reachable:
                # It is being closed meanwhile; or the worker is gone, which Dask says by a KeyError.
                with suppress(OSError, RuntimeError, TimeoutError, CancelledError, KeyError):
                    self._cluster.client.restart_workers([stream.address], timeout=_READY_S, raise_for_error=False)

        timer = threading.Timer(_INSIST_S, insist)
        timer.daemon = True
        timer.start()

    def when_ended(self, address: str, order: Callable[[], None]) -> bool:
        """Have `order` done once the last words of a worker that is gone are known; False when they are known now."""
        with self._lock:
            stream = self._ending.get(address)
            if stream is not None:
                stream.when_ended.append(order)
            return stream is not None

    def forget(self, stream: Stream) -> list[Callable[[], None]]:
        """Note that a stream has ended and return what waited for that."""
        with self._lock:
            if self._there.get(stream.address) is stream:
                del self._there[stream.address]
            if self._ending.get(stream.address) is stream:
                del self._ending[stream.address]
            waiting, stream.when_ended = stream.when_ended, []
            return waiting

    def close(self) -> None:
        """Let the workers go, as far as there is a way to tell them."""
        self._closed = True
        if not self._cluster.is_reachable:
            return
        with suppress(OSError, RuntimeError, TimeoutError, CancelledError):
            client = self._cluster.client
            client.unsubscribe_topic(_ALL)  # the end of each worker would be an error message of the scheduler's
            client.unsubscribe_topic(hello_topic(self._run))
            for stream in list(self._there.values()):
                stream.end()
            for stream in list(self._there.values()):
                stream.join(_INSIST_S)
            if not self._cluster.is_ours:
                client.unregister_worker_plugin(self._run)

    async def _log(self, order: dict[str, Any]) -> None:
        with suppress(OSError, RuntimeError):  # the scheduler is gone, and that is noticed elsewhere
            await self._cluster.client.scheduler.log_event(topic=control_topic(self._run), msg=order)

    def _on_event(self, event: tuple[float, Any]) -> None:
        """Note the death of a worker."""
        news = event[1]
        if self._closed or not isinstance(news, dict) or news.get("action") != "remove-worker":
            return
        with self._lock:
            stream = self._there.pop(news["worker"], None)
            if stream is None:
                return
            self._ending[stream.address] = stream
        self._cluster.pids.discard(stream.pid)
        stream.end()
        self._changed()

    def _on_hello(self, event: tuple[float, Any]) -> None:
        """Note a worker that is ready; it may be said twice."""
        hello = event[1]
        with self._came:
            known = self._there.get(hello["address"])
            if self._closed or (known is not None and known.queue == hello["queue"]):
                return
            stream = self._there[hello["address"]] = Stream(self._cluster.client, hello, self._taker)
            if self._cluster.is_ours:
                self._cluster.pids.add(stream.pid)
            self._came.notify_all()
        self._changed()
