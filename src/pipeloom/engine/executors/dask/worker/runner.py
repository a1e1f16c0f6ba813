"""Runs attempts in the threads of a Dask worker."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from pipeloom.code.pickles import loads
from pipeloom.code.sources import Source, load_sources
from pipeloom.code.version import Version
from pipeloom.engine.attempt import Attempt, Outcome, OutcomeKind
from pipeloom.engine.events import Finish, Logged
from pipeloom.engine.executors.dask.serialization import MAX_CODES, PLAIN, Code, packed, unpacked_code
from pipeloom.engine.executors.dask.wire import ENDED, MESSAGE, PICKLED, STARTED
from pipeloom.engine.executors.dask.worker.outbox import Outbox
from pipeloom.engine.worker.channel import WorkerChannel
from pipeloom.engine.worker.runner import describe, run_worker
from pipeloom.engine.worker.weight import weight
from pipeloom.errors import MessageError, TaskCancelled
from pipeloom.text import first_line

_MAX_VERSIONS: Final = 2
"""Versions of the code that are kept; older ones stay as long as attempts run them."""
_MAX_CANCELLED: Final = 10_000
_RECORD_BYTES: Final = 64
"""Bytes counted for a record besides its value."""


SentCode = tuple[tuple[Source, ...], bytes]
"""The sources of a version, and the pickle of its `Code`."""


class AttemptRunner:
    """Runs attempts, each known by its Dask key, and puts their records into the outbox. Thread-safe."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._codes: dict[SentCode, tuple[Version, Code]] = {}
        self._versions: dict[tuple[Source, ...], Version] = {}
        self._channels: dict[str, WorkerChannel] = {}
        self._cancelled: dict[str, None] = {}
        """The last keys that were cancelled before they began."""

    def running(self) -> list[str]:
        """Return the keys of running attempts."""
        return list(self._channels)

    def run(self, key: str, number: tuple[int, int], code: SentCode, task: bytes) -> None:
        """Run an attempt to its end, on the calling thread. `number` is its id and its number."""
        outcome = self._outcome(key, number, code, task)
        ended = self._outbox.add((ENDED, number[0], packed(outcome)), _RECORD_BYTES)
        if ended is not None and not outcome.started:
            # The program has no STARTED, so it would not connect a death of this worker with the attempt.
            self._outbox.await_sent(ended, _never)

    def cancel(self, key: str) -> None:
        """Ask an attempt to stop, also one that has not begun."""
        with self._lock:
            channel = self._channels.get(key)
            if channel is None:
                self._cancelled[key] = None
                if len(self._cancelled) > _MAX_CANCELLED:
                    del self._cancelled[next(iter(self._cancelled))]
        if channel is not None:
            channel.cancel()
            self._outbox.wake()

    def _outcome(self, key: str, number: tuple[int, int], code: SentCode, task: bytes) -> Outcome:
        try:
            attempt = self._load(number, code, task)
        except BaseException as error:  # noqa: BLE001 - loading and unpickling run the user's code
            outcome = describe(error)
            return Outcome(
                OutcomeKind.REJECTED,
                error_type=outcome.error_type,
                error=f"the task cannot be loaded on a Dask worker: {outcome.error}",
                traceback=outcome.traceback,
                started=False,
            )
        publisher = _Publisher(self._outbox, attempt, lambda: channel.cancelled)
        channel = WorkerChannel(attempt, publisher)
        with self._lock:
            self._channels[key] = channel
            if key in self._cancelled:
                channel.cancel()
        try:
            # The scheduler must have STARTED before the user's code runs: if this worker then dies, the program knows
            # that the code may have run.
            started = self._outbox.add((STARTED, attempt.id, key), _RECORD_BYTES, lambda: channel.cancelled)
            if started is None or not self._outbox.await_sent(started, lambda: channel.cancelled):
                return Outcome(OutcomeKind.CANCELLED, started=False)
            return run_worker(attempt, channel)
        finally:
            with self._lock:
                del self._channels[key]

    def _load(self, number: tuple[int, int], code: SentCode, task: bytes) -> Attempt:
        with self._loading:
            known = self._codes.get(code)
            if known is None:
                sources, data = code
                version = self._version(sources)
                known = version, unpacked_code(data, version)
                if len(self._codes) >= MAX_CODES:
                    del self._codes[next(iter(self._codes))]
                self._codes[code] = known
        version, (worker_fn, message_types, retry_on, limits, _) = known
        given, state, results, known_key = loads(task, version)
        return Attempt(*number, given, worker_fn, message_types, retry_on, state, results, limits, known_key, version)

    def _version(self, sources: tuple[Source, ...]) -> Version:
        """Return the version with these sources, loaded once: its functions share their modules."""
        version = self._versions.get(sources)
        if version is None:
            version = Version(sources, modules=load_sources(sources))
            if len(self._versions) >= _MAX_VERSIONS:
                oldest = self._versions.pop(next(iter(self._versions)))
                self._codes = {code: known for code, known in self._codes.items() if known[0] is not oldest}
            self._versions[sources] = version
        return version


class _Publisher:
    """Puts what one attempt publishes into the outbox; blocks while the writer is behind."""

    def __init__(self, outbox: Outbox, attempt: Attempt, is_stopping: Callable[[], bool]) -> None:
        self._outbox = outbox
        self._attempt_id = attempt.id
        self._version = attempt.version
        self._is_stopping = is_stopping
        self._dropped = False
        """Whether a message was dropped while the task was being stopped: later ones would leave a gap."""

    def __call__(self, entry: Any) -> None:
        kind = type(entry)
        if kind in PLAIN:
            record, size = (MESSAGE, self._attempt_id, entry), weight(entry)
        else:
            data = self._packed(entry)
            record, size = (PICKLED, self._attempt_id, data), _RECORD_BYTES + len(data)
        if kind is Logged:
            self._outbox.add(record, size, self._is_stopping)
        elif self._dropped or self._outbox.add(record, size, _never if kind is Finish else self._is_stopping) is None:
            self._dropped = True
            raise TaskCancelled

    def _packed(self, entry: Any) -> bytes:
        try:
            return packed(entry, self._version)
        except Exception as error:
            raise MessageError(
                f"{type(entry).__name__} cannot leave its Dask worker: {type(error).__name__}: {first_line(error)}"
            ) from error


def _never() -> bool:
    return False
