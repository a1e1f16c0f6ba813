"""Attempts on a Dask cluster: for work that has outgrown one machine.

Dask places the attempts and moves the bytes; what they say comes by a queue per worker (see `dask_stream`), so that a
slow writer holds back the remote worker, and a worker's death is known only after all that it had said. The scheduler
forgets an attempt as soon as it has ended (see `dask_scheduler`): Dask would run it again if its worker died later.
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from distributed import Future
from distributed.scheduler import KilledWorker

from pipeloom.engine.attempt import Attempt, Outcome, OutcomeKind
from pipeloom.engine.executors.base import Capabilities, Reports, WorkerInfo
from pipeloom.engine.executors.dask.cluster import Cluster
from pipeloom.engine.executors.dask.in_flight import Job, Pace
from pipeloom.engine.executors.dask.membership import Roster
from pipeloom.engine.executors.dask.outbox import Record
from pipeloom.engine.executors.dask.serialization import unpacked
from pipeloom.engine.executors.dask.stream import Stream
from pipeloom.engine.executors.dask.submission import Parcel, Sender
from pipeloom.engine.executors.dask.worker import ENDED, PICKLED, STARTED
from pipeloom.errors import TaskCancelled, UsageError, WriterFailedError
from pipeloom.text import clean, first_line, storable

_TRIES: Final = 20
"""How often an attempt that no worker has begun is given to Dask."""
_LOOK_S: Final = 0.25
_CHUNK: Final = 200
_KILL_S: Final = 1.0


class DaskExecutor:
    """Runs attempts on the workers of a Dask cluster: one of its own on this machine, or the one at `address`.

    `slots` is the size of its own cluster; at an address it bounds how many attempts are there at the same time, and
    None takes all that the cluster has.
    """

    name = "dask"
    caps = Capabilities(remote=True, multi_host=True, hard_kill=True, isolated_crash=True)

    def __init__(self, slots: int | None, address: str | None = None) -> None:
        self._limit = slots
        self._address = address
        self._run = f"pipeloom-{uuid.uuid4().hex[:12]}"
        self._lock = threading.Lock()
        self._one_ended = threading.Condition(self._lock)
        self._jobs: dict[int, Job] = {}
        self._orders: queue.SimpleQueue[Job | Callable[[], object]] = queue.SimpleQueue()
        self._pace = Pace()
        self._looked_s = 0.0
        self._gone: str | None = None
        self._closing = False
        self._closed = False
        """Whether nothing that is heard from the cluster counts any more."""
        self._cluster: Cluster
        self._roster: Roster | None = None
        self._sender: Sender

    @property
    def slots(self) -> int:
        """Attempts that run at the same time: as many as the workers that are there have threads, or as allowed."""
        there = 0 if self._roster is None else self._roster.slots
        return there if self._limit is None else min(there, self._limit)

    @property
    def window(self) -> int:
        """The slots, and what should wait at the cluster: Dask takes its time to hand out the next one.

        One more than a cluster of somebody's can run shows it, if it adapts, that there is more to do.
        """
        wanted = self._limit if self._limit is not None else self.slots + 1
        return wanted + self._pace.ahead * min(wanted, max(1, self.slots))

    def start(self, reports: Reports) -> None:
        """Find or start the cluster and get its workers ready; raises `UsageError` when that cannot be done."""
        self._reports = reports
        cluster = self._cluster = Cluster(self._address, self._limit or 1)
        self._sender = Sender(self._run, cluster.client)
        self._roster = Roster(self._run, cluster, self, lambda: self._orders.put(reports.slots_changed))
        try:
            self._roster.muster()
        except Exception as error:
            self._closed = True
            cluster.close()
            raise UsageError(f"The Dask cluster at {cluster.address} is of no use: {first_line(error)}.") from error
        threading.Thread(target=self._work, name="pipeloom-dask", daemon=True).start()

    def set_slots(self, slots: int) -> None:
        """Change the number of slots; a cluster of our own grows, and keeps idle workers for when it rises again."""
        self._limit = slots
        self._orders.put(partial(self._cluster.scale, slots))

    def submit(self, attempt: Attempt) -> None:
        """Give the attempt to Dask, in a moment."""
        job = self._jobs[attempt.id] = Job(attempt, self._run)
        self._orders.put(job)

    def cancel(self, attempt_ids: Iterable[int]) -> None:
        """Ask attempts to stop; what no worker has begun is taken back."""
        keys = []
        with self._lock:
            for attempt_id in attempt_ids:
                job = self._jobs.get(attempt_id)
                if job is not None and not job.cancelled:
                    job.cancelled = True
                    keys.append(job.key)
                    self._orders.put(partial(self._withdraw, job))
        if keys:
            self._tell({"stop": keys})

    def kill(self, attempt_id: int) -> bool:
        """End the attempt by ending its worker's process; False: it has ended, or its worker would not come back."""
        with self._lock:
            job = self._jobs.get(attempt_id)
            if job is None or (job.stream is not None and not job.stream.can_kill):
                return False
            job.cancelled = job.killed = True
            stream, job.future = job.stream, None  # nobody shall run it again
        if stream is None:
            self._orders.put(partial(self._withdraw, job))
        else:
            self._kill(job, stream)
        return True

    def stack(self, attempt_id: int) -> str | None:  # noqa: ARG002 - nobody can tell, whichever it is
        """Return None: where another process is cannot be seen from here."""
        return None

    def workers(self) -> list[WorkerInfo]:
        """Return what the scheduler knows of each worker."""
        if self._gone is not None or self._closed or not self._cluster.is_reachable:
            return []
        with self._lock:
            held = [(job.stream.address, job.attempt.id) for job in self._jobs.values() if job.stream is not None]
        return [
            WorkerInfo(
                address,
                one["nthreads"],
                tuple(attempt_id for where, attempt_id in held if where == address),
                one.get("metrics", {}).get("cpu"),
                one.get("metrics", {}).get("memory"),
                one["memory_limit"] or None,
            )
            for address, one in self._cluster.info().items()
        ]

    def shutdown(self, timeout_s: float) -> int:
        """Wait for what runs, then end it by force where that can be done, and let go of the cluster."""
        with self._one_ended:
            self._one_ended.wait_for(lambda: not self._jobs, timeout_s)
            first, self._closing = not self._closing, True
            left = list(self._jobs)
        if not first or self._roster is None:
            return len(left)
        for attempt_id in left:
            self.kill(attempt_id)
        with self._one_ended:
            self._one_ended.wait_for(lambda: not self._jobs, _KILL_S if left else 0.0)
            jobs, self._closed = list(self._jobs.values()), True
        self._roster.close()
        self._cluster.close()
        for job in jobs:
            self._end(job, Outcome(OutcomeKind.LOST, error=f"{job.where} was left behind", retryable=True))
        return 0 if self._cluster.is_ours else len(jobs)

    # -- the thread that gives orders ------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while not self._closed:
                if time.monotonic() - self._looked_s >= _LOOK_S:
                    self._look_after()
                try:
                    order = self._orders.get(timeout=_LOOK_S)
                except queue.Empty:
                    continue
                if isinstance(order, Job):
                    self._send(self._with_more(order))
                else:
                    order()
        except BaseException as error:  # noqa: BLE001 - a thread that dies unseen would leave the run waiting
            if not self._closed:
                self._reports.broken(error)

    def _with_more(self, job: Job) -> list[Job]:
        """Return the job and those that wait right behind it: Dask takes many at once much faster."""
        jobs = [job]
        while len(jobs) < _CHUNK:
            try:
                order = self._orders.get_nowait()
            except queue.Empty:
                break
            if not isinstance(order, Job):
                self._orders.put(order)
                break
            jobs.append(order)
        return jobs

    def _send(self, jobs: list[Job]) -> None:
        parcels: list[tuple[Job, Parcel]] = []
        for job in jobs:
            try:
                parcels.append((job, self._sender.parcel(job.key, job.attempt)))
            except Exception as error:  # noqa: BLE001 - pickling runs the user's code
                self._end(job, _failed(OutcomeKind.REJECTED, "the task cannot be sent to a Dask worker", error))
        with self._lock:
            parcels = [entry for entry in parcels if not entry[0].cancelled]  # the others are being withdrawn
        if not self._cluster.is_reachable:  # then Dask would wait for the scheduler
            self._lose()
        elif parcels:
            futures = self._sender.send([parcel for _, parcel in parcels])
            with self._lock:
                for (job, _), future in zip(parcels, futures, strict=True):
                    job.future = None if job.over else future

    def _withdraw(self, job: Job) -> None:
        """Take back what no worker has begun; one that begins it all the same is told to stop."""
        if job.stream is None:
            self._end(job, Outcome(OutcomeKind.CANCELLED, started=False), unless_begun=True)

    def _lose(self) -> None:
        """Report once that the scheduler is gone, and end what no worker has begun; the streams end the rest."""
        if self._closed:
            return
        with self._lock:
            first, self._gone = self._gone is None, f"the Dask scheduler {self._cluster.address} is gone"
        if first:
            self._reports.lost(self._gone)
        with self._lock:
            left = [job for job in self._jobs.values() if job.stream is None]
        for job in left:
            self._end(job, Outcome(OutcomeKind.LOST, error=self._gone, started=False))

    def _look_after(self) -> None:
        """Look whether the scheduler is there, and whether there is something that Dask could not run.

        What a worker has begun is dealt with by its stream: a future of each is not worth being told of.
        """
        self._looked_s = time.monotonic()
        if not self._cluster.is_reachable:
            self._lose()
            return
        with self._lock:
            waiting = [(job, job.future) for job in self._jobs.values() if job.stream is None]
        for job, future in waiting:
            if future is not None and future.status not in ("pending", "finished"):
                self._fail(job, future)

    def _fail(self, job: Job, future: Future) -> None:
        error: BaseException | None = future.exception(timeout=_LOOK_S) if future.status == "error" else None
        with self._lock:
            if job.over or job.future is not future:
                return
            job.future = None  # once is enough
        if error is None or isinstance(error, KilledWorker):
            again, last = partial(self._again, job), getattr(getattr(error, "last_worker", None), "address", "")
            if self._roster is None or not self._roster.when_ended(last, again):
                again()
        else:
            self._end(job, _failed(OutcomeKind.REJECTED, "no Dask worker can run it", error))

    def _again(self, job: Job) -> None:
        """Give Dask another task for an attempt whose code never ran."""
        with self._lock:
            if job.over or job.stream is not None:
                return
            job.next_key()
        if job.tries <= _TRIES:
            self._orders.put(job)
        else:
            how = f"its workers end before they take it up, {_TRIES} times"
            self._end(job, Outcome(OutcomeKind.LOST, error=how, retryable=True, started=False))

    # -- on the threads of the streams -----------------------------------------------------------------------------

    def take(self, stream: Stream, record: Record) -> None:
        """Deal with what a worker says about an attempt; what another worker has begun is not its business."""
        kind, attempt_id, value = record
        job = self._jobs.get(attempt_id)
        if kind == STARTED:
            self._take_start(stream, job, value)
        elif job is not None and kind == ENDED and job.stream in (stream, None):  # None: its code never ran
            self._end(job, job.trouble or unpacked(value))
        elif job is not None and job.stream is stream:
            self._deliver(job, kind, value)

    def _take_start(self, stream: Stream, job: Job | None, key: str) -> None:
        with self._lock:
            mine = job is not None and job.key == key and job.stream is None and not job.over
            if job is not None and mine:
                job.stream, job.started_s = stream, time.monotonic()
        if job is None or not mine:
            self._tell({"stop": [key]})  # Dask runs again what has been lost, or it was taken back too late
            return
        self._reports.started(job.attempt.id, stream.name)
        if job.killed:
            self._kill(job, stream)

    def _deliver(self, job: Job, kind: str, value: Any) -> None:
        """Pass a message on; what cannot be passed on stops the worker, and what it still says is drained."""
        if job.trouble is not None or job.over:
            return
        try:
            entry = unpacked(value) if kind == PICKLED else value
        except Exception as error:  # noqa: BLE001 - unpickling runs the user's code
            job.trouble = _failed(OutcomeKind.ERROR, "a message cannot be taken from its Dask worker", error)
            self.cancel([job.attempt.id])
            return
        try:
            self._reports.message(job.attempt.id, entry)
        except TaskCancelled:
            return  # the engine has given the message up: the worker is being stopped
        except WriterFailedError:
            self.cancel([job.attempt.id])

    def stream_ended(self, stream: Stream, failure: BaseException | None) -> None:
        """Deal with the attempts of a worker that is gone, now that all it had said is known."""
        if self._closed or self._roster is None:
            return
        if isinstance(failure, OSError) or (failure is not None and not self._cluster.is_reachable):
            self._lose()
        elif failure is not None:
            self._reports.broken(failure)
            return
        waiting = self._roster.forget(stream)
        with self._lock:
            left = [job for job in self._jobs.values() if job.stream is stream]
        for job in left:
            lost = self._gone or f"worker {stream.address} lost"
            self._end(job, job.trouble or Outcome(OutcomeKind.LOST, error=lost, retryable=True))
        for order in waiting:
            self._orders.put(order)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _tell(self, order: dict[str, Any]) -> None:
        if self._roster is not None and self._gone is None and not self._closed:
            self._roster.tell(order)

    def _kill(self, job: Job, stream: Stream) -> None:
        if self._roster is not None:
            self._roster.kill(job.key, stream, lambda: job.over)

    def _end(self, job: Job, outcome: Outcome, *, unless_begun: bool = False) -> None:
        """Report the end of an attempt, once, and let Dask forget it."""
        with self._one_ended:
            if job.over or (unless_begun and job.stream is not None):
                return
            job.over, job.future = True, None
            del self._jobs[job.attempt.id]
            if job.started_s is not None:
                self._pace.note(time.monotonic() - job.started_s)
            self._one_ended.notify_all()
        self._reports.ended(job.attempt.id, outcome)


def _failed(kind: OutcomeKind, what: str, error: BaseException) -> Outcome:
    return Outcome(
        kind,
        error_type=clean(type(error).__name__, 200),
        error=f"{what}: {first_line(error)}",
        traceback=storable("".join(traceback.format_exception(error)), 16_000) if error.__traceback__ else "",
        started=kind is not OutcomeKind.REJECTED,
    )
