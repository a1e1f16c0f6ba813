"""Reports to the engine what the workers of a Dask cluster send. Called on the threads of their streams."""

from __future__ import annotations

from functools import partial
from typing import Any

from pipeloom.code.pickles import loads
from pipeloom.engine.attempt import Outcome, OutcomeKind
from pipeloom.engine.executors.base import Reports
from pipeloom.engine.executors.dask.attempts import SubmittedAttempt, SubmittedAttempts, failed_outcome
from pipeloom.engine.executors.dask.cluster import Cluster
from pipeloom.engine.executors.dask.control import WorkerControl
from pipeloom.engine.executors.dask.serialization import unpacked
from pipeloom.engine.executors.dask.stream import WorkerStream
from pipeloom.engine.executors.dask.wire import ENDED, PICKLED, STARTED, Record
from pipeloom.errors import TaskCancelled, WriterFailedError
from pipeloom.times import monotonic


class Receiver:
    """Handles the records of all workers, and the end of a worker."""

    def __init__(self, attempts: SubmittedAttempts, control: WorkerControl, cluster: Cluster, reports: Reports) -> None:
        self._attempts = attempts
        self._control = control
        self._cluster = cluster
        self._reports = reports

    def take(self, stream: WorkerStream, record: Record) -> None:
        """Handle a record; one of an attempt that another worker has started is dropped."""
        kind, attempt_id, value = record
        submitted = self._attempts.get(attempt_id)
        if kind == STARTED:
            self._take_start(stream, submitted, value)
        elif submitted is not None and kind == ENDED and submitted.stream in (stream, None):  # None: it did not start
            self._attempts.end(submitted, submitted.failure or unpacked(value))
        elif submitted is not None and submitted.stream is stream:
            self._take_message(submitted, kind, value)

    def stream_ended(self, stream: WorkerStream, failure: BaseException | None) -> None:
        """End the attempts of a worker that is gone: all its records have been handled."""
        if self._attempts.closed:
            return
        if isinstance(failure, OSError) or (failure is not None and not self._cluster.is_reachable):
            self._attempts.lose_scheduler(self._cluster.address)
        elif failure is not None:
            self._reports.broken(failure)
            return
        for worker, submitted in self._attempts.started():
            if worker is stream:
                lost = self._attempts.scheduler_loss or f"worker {stream.address} lost"
                outcome = submitted.failure or Outcome(OutcomeKind.LOST, error=lost, retryable=True)
                self._attempts.end(submitted, outcome)

    def _take_start(self, stream: WorkerStream, submitted: SubmittedAttempt | None, key: str) -> None:
        with self._attempts.lock:
            expected = (
                submitted is not None and submitted.key == key and submitted.stream is None and not submitted.ended
            )
            if submitted is not None and expected:
                submitted.stream, submitted.started_s = stream, monotonic()
        if submitted is None or not expected:
            self._control.stop([key])  # Dask runs a lost attempt again, or it was withdrawn too late
            return
        self._reports.started(submitted.attempt.id, stream.name)
        if submitted.killed:
            self._control.kill(key, stream.address, partial(self._attempts.is_over, submitted))

    def _take_message(self, submitted: SubmittedAttempt, kind: str, value: Any) -> None:
        """Report a message. One that cannot be unpickled fails the attempt, and its later messages are dropped."""
        if submitted.failure is not None or submitted.ended:
            return
        try:
            entry = loads(value, submitted.attempt.version) if kind == PICKLED else value
        except Exception as error:  # noqa: BLE001 - unpickling runs the user's code
            what = "a message cannot be taken from its Dask worker"
            submitted.failure = failed_outcome(OutcomeKind.ERROR, what, error)
            self._cancel(submitted)
            return
        try:
            self._reports.message(submitted.attempt.id, entry)
        except TaskCancelled:
            return  # the engine has dropped the message, and is stopping the worker
        except WriterFailedError:
            self._cancel(submitted)

    def _cancel(self, submitted: SubmittedAttempt) -> None:
        if self._attempts.cancel([submitted.attempt.id]):
            self._control.stop([submitted.key])
