"""Gives attempts to Dask and takes them back, in a thread of its own: Dask's calls may block."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from distributed import Future
from distributed.scheduler import KilledWorker

from pipeloom.code.version import Version
from pipeloom.engine.attempt import Attempt, Outcome, OutcomeKind
from pipeloom.engine.executors.base import Reports
from pipeloom.engine.executors.dask.attempts import SubmittedAttempt, SubmittedAttempts, failed_outcome
from pipeloom.engine.executors.dask.cluster import Cluster
from pipeloom.engine.executors.dask.membership import ClusterMembership
from pipeloom.engine.executors.dask.serialization import MAX_CODES, Code, packed, packed_code, plainly_packed
from pipeloom.engine.executors.dask.worker.plugin import run_attempt
from pipeloom.times import monotonic

Inbox = queue.SimpleQueue[SubmittedAttempt | Callable[[], object]]
"""Attempts to submit, and calls to make on the thread."""

_PackedAttempt = tuple[str, tuple[int, int], bytes, bytes]
"""Key, id and number of the attempt, the pickle of the `Code`, and that of the task."""

_MAX_SUBMISSIONS: Final = 20
"""How often an attempt is given to Dask while no worker starts it."""
_CHECK_EVERY_S: Final = 0.25
_MAX_AT_ONCE: Final = 200


class Submitter:
    """Submits the attempts of its inbox, and submits again those that Dask could not run."""

    def __init__(
        self,
        run: str,
        cluster: Cluster,
        attempts: SubmittedAttempts,
        membership: ClusterMembership,
        inbox: Inbox,
        reports: Reports,
    ) -> None:
        self._run = run
        self._cluster = cluster
        self._attempts = attempts
        self._membership = membership
        self._inbox = inbox
        self._reports = reports
        self._checked_s = 0.0
        self._codes: dict[tuple[int, Version | None], tuple[Code, bytes]] = {}
        """By the id of the worker function, which the value keeps, and its version."""
        self._sent: tuple[Version | None, str] | None = None
        """The version that the workers have last been sent, and its key."""

    def start(self) -> None:
        """Start the thread, which ends after `SubmittedAttempts.close`."""
        threading.Thread(target=self._work, name="pipeloom-dask", daemon=True).start()

    def withdraw(self, submitted: SubmittedAttempt) -> None:
        """End an attempt that no worker has started; one that still starts it is told to stop. Does not block."""
        self._inbox.put(partial(self._withdraw, submitted))

    def _work(self) -> None:
        try:
            while not self._attempts.closed:
                if monotonic() - self._checked_s >= _CHECK_EVERY_S:
                    self._check()
                try:
                    item = self._inbox.get(timeout=_CHECK_EVERY_S)
                except queue.Empty:
                    continue
                if isinstance(item, SubmittedAttempt):
                    self._submit(self._with_next(item))
                else:
                    item()
        except BaseException as error:  # noqa: BLE001 - the run would wait for ever for a thread that died unreported
            if not self._attempts.closed:
                self._reports.broken(error)

    def _with_next(self, submitted: SubmittedAttempt) -> list[SubmittedAttempt]:
        """Return the attempt and those right behind it in the inbox: Dask takes many at once much faster."""
        found = [submitted]
        while len(found) < _MAX_AT_ONCE:
            try:
                item = self._inbox.get_nowait()
            except queue.Empty:
                break
            if not isinstance(item, SubmittedAttempt):
                self._inbox.put(item)
                break
            found.append(item)
        return found

    def _submit(self, attempts: list[SubmittedAttempt]) -> None:
        ready: list[tuple[SubmittedAttempt, _PackedAttempt]] = []
        for submitted in attempts:
            try:
                ready.append((submitted, self._packed(submitted)))
            except Exception as error:  # noqa: BLE001 - pickling runs the user's code
                what = "the task cannot be sent to a Dask worker"
                self._attempts.end(submitted, failed_outcome(OutcomeKind.REJECTED, what, error))
        with self._attempts.lock:
            ready = [entry for entry in ready if not entry[0].cancelled]  # a withdrawal of the others is in the inbox
        if not self._cluster.is_reachable:  # else Dask would wait for the scheduler
            self._attempts.lose_scheduler(self._cluster.address)
        elif ready:
            futures = self._map([packed_attempt for _, packed_attempt in ready])
            with self._attempts.lock:
                for (submitted, _), future in zip(ready, futures, strict=True):
                    submitted.future = None if submitted.ended else future

    def _map(self, attempts: Sequence[_PackedAttempt]) -> list[Future]:
        """Have Dask run them on any worker, once each as far as the client can ask for that."""
        keys, numbers, codes, tasks = zip(*attempts, strict=True)
        runs = [self._run] * len(keys)
        futures: list[Future] = self._cluster.client.map(
            run_attempt, runs, keys, numbers, codes, tasks, key=list(keys), pure=False, retries=0
        )
        return futures

    def _packed(self, submitted: SubmittedAttempt) -> _PackedAttempt:
        """Return the attempt as it is sent; raises any error of pickling."""
        attempt = submitted.attempt
        return (
            submitted.key,
            attempt[:2],
            self._packed_code(attempt),
            packed((attempt.task, attempt.state, attempt.results, attempt.known_key), attempt.version),
        )

    def _packed_code(self, attempt: Attempt) -> bytes:
        """Return the pickle of what all attempts with one worker function have in common, made once."""
        code: Code = (attempt.worker_fn, attempt.message_types, attempt.retry_on, attempt.limits, attempt.secrets)
        place = id(attempt.worker_fn), attempt.version
        known = self._codes.get(place)
        if known is None or any(one is not other for one, other in zip(known[0], code, strict=True)):
            data = packed_code(code, attempt.version)
            if self._sent is None or self._sent[0] is not attempt.version:
                self._sent = attempt.version, self._membership.send_code(attempt.version)
                self._codes.clear()
            elif len(self._codes) >= MAX_CODES:
                self._codes.clear()
            known = self._codes[place] = code, plainly_packed((self._sent[1], data))
        return known[1]

    def _withdraw(self, submitted: SubmittedAttempt) -> None:
        outcome = Outcome(OutcomeKind.CANCELLED, started=False)
        self._attempts.end(submitted, outcome, unless_started=True)

    def _check(self) -> None:
        """Check whether the scheduler is there, and whether there are attempts that Dask could not run.

        Attempts that a worker has started are handled by its stream: callbacks of all their futures would cost more.
        """
        self._checked_s = monotonic()
        if not self._cluster.is_reachable:
            self._attempts.lose_scheduler(self._cluster.address)
            return
        for submitted in self._attempts.not_started():
            future = submitted.future
            if future is not None and future.status not in ("pending", "finished"):
                self._handle_failure(submitted, future)

    def _handle_failure(self, submitted: SubmittedAttempt, future: Future) -> None:
        """Submit again after a worker's death, once its last records are read; after another error end the attempt."""
        error: BaseException | None = future.exception(timeout=_CHECK_EVERY_S) if future.status == "error" else None
        with self._attempts.lock:
            if submitted.ended or submitted.future is not future:
                return
            submitted.future = None  # the failure is handled once
        if error is None or isinstance(error, KilledWorker):
            again = partial(self._resubmit, submitted)
            address = getattr(getattr(error, "last_worker", None), "address", "")
            if not self._membership.when_ended(address, partial(self._inbox.put, again)):
                again()
        else:
            outcome = failed_outcome(OutcomeKind.REJECTED, "no Dask worker can run it", error)
            self._attempts.end(submitted, outcome)

    def _resubmit(self, submitted: SubmittedAttempt) -> None:
        """Submit an attempt under another key: its code never ran."""
        with self._attempts.lock:
            if submitted.ended or submitted.stream is not None:
                return
            submitted.next_submission()
        if submitted.submissions <= _MAX_SUBMISSIONS:
            self._inbox.put(submitted)
        else:
            how = f"its workers end before they take it up, {_MAX_SUBMISSIONS} times"
            self._attempts.end(submitted, Outcome(OutcomeKind.LOST, error=how, retryable=True, started=False))
