"""Attempts on a Dask cluster: for work that needs more than one machine.

Dask places the attempts. Their records come through a queue per worker (see `stream`): a slow writer thus holds back
remote workers, and a worker's death is handled after its last record. The scheduler releases an attempt as soon as it
has finished (see `scheduler_plugin`): otherwise Dask would run it again if its worker died later.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable
from functools import partial
from typing import Final

from pipeloom.engine.attempt import Attempt, Outcome, OutcomeKind
from pipeloom.engine.executors.base import Capabilities, Executor, Reports, WorkerInfo
from pipeloom.engine.executors.dask.attempts import Lookahead, SubmittedAttempts
from pipeloom.engine.executors.dask.cluster import Cluster
from pipeloom.engine.executors.dask.control import WorkerControl
from pipeloom.engine.executors.dask.membership import ClusterMembership
from pipeloom.engine.executors.dask.receiver import Receiver
from pipeloom.engine.executors.dask.submission import Inbox, Submitter
from pipeloom.errors import UsageError
from pipeloom.text import first_line

_KILL_S: Final = 1.0


class DaskExecutor(Executor):
    """Runs attempts on the workers of a Dask cluster: the one at `address`, or one that it starts on this machine.

    `slots` is the size of a cluster that it starts. At an address it is the maximum of attempts that are there at the
    same time; None means as many as the cluster has threads.
    """

    name = "dask"
    caps = Capabilities(remote=True, multi_host=True, hard_kill=True, isolated_crash=True)

    def __init__(self, slots: int | None, address: str | None = None) -> None:
        self._limit = slots
        self._address = address
        self._run = f"pipeloom-{uuid.uuid4().hex[:12]}"
        self._lookahead = Lookahead()
        self._inbox: Inbox = Inbox()
        self._closing = threading.Lock()
        """Held for ever by the first `shutdown`."""
        self._cluster: Cluster
        self._attempts: SubmittedAttempts
        self._control: WorkerControl
        self._submitter: Submitter
        self._membership: ClusterMembership | None = None
        """Set once everything has started."""

    @property
    def slots(self) -> int:
        """Attempts that run at the same time: the threads of the present workers, at most the limit."""
        present = 0 if self._membership is None else self._membership.slots
        return present if self._limit is None else min(present, self._limit)

    @property
    def window(self) -> int:
        """The slots, and the attempts that wait at the cluster: Dask takes a while to hand out the next one.

        Without a limit it is at least one more than the slots: an adaptive cluster then sees that it should grow.
        """
        wanted = self._limit if self._limit is not None else self.slots + 1
        return wanted + self._lookahead.per_slot * min(wanted, max(1, self.slots))

    def start(self, reports: Reports) -> None:
        """Find or start the cluster and wait for its workers; raises `UsageError` when that fails."""
        cluster = self._cluster = Cluster(self._address, self._limit or 1)
        attempts = self._attempts = SubmittedAttempts(self._run, reports, self._lookahead)
        control = self._control = WorkerControl(self._run, cluster)
        receiver = Receiver(attempts, control, cluster, reports)
        membership = ClusterMembership(self._run, cluster, receiver, partial(self._inbox.put, reports.slots_changed))
        self._submitter = Submitter(self._run, cluster, attempts, membership, self._inbox, reports)
        try:
            membership.start()
        except Exception as error:
            attempts.close(0.0)
            cluster.close()
            raise UsageError(f"The Dask cluster at {cluster.address} is of no use: {first_line(error)}.") from error
        self._membership = membership
        self._submitter.start()

    def set_slots(self, slots: int) -> None:
        """Change the number of slots; the executor's own cluster grows, and keeps idle workers when it is lowered."""
        self._limit = slots
        self._inbox.put(partial(self._cluster.scale, slots))

    def submit(self, attempt: Attempt) -> None:
        """Put the attempt into the inbox of the submitter."""
        self._inbox.put(self._attempts.add(attempt))

    def cancel(self, attempt_ids: Iterable[int]) -> None:
        """Ask attempts to stop; withdraw those that no worker has started."""
        cancelled = self._attempts.cancel(attempt_ids)
        for submitted in cancelled:
            self._submitter.withdraw(submitted)
        if cancelled:
            self._control.stop([submitted.key for submitted in cancelled])

    def kill(self, attempt_id: int) -> bool:
        """End the attempt by ending its worker's process; False when it has ended, or the process would not restart."""
        with self._attempts.lock:
            submitted = self._attempts.get(attempt_id)
            if submitted is None or (submitted.stream is not None and not submitted.stream.can_kill):
                return False
            submitted.cancelled = submitted.killed = True
            stream, submitted.future = submitted.stream, None  # without its future, Dask does not run it again
        if stream is None:
            self._submitter.withdraw(submitted)
        else:
            self._control.kill(submitted.key, stream.address, partial(self._attempts.is_over, submitted))
        return True

    def workers(self) -> list[WorkerInfo]:
        """Return what the scheduler knows of each worker."""
        if self._attempts.closed or self._attempts.scheduler_loss is not None or not self._cluster.is_reachable:
            return []
        held = [(stream.address, submitted.attempt.id) for stream, submitted in self._attempts.started()]
        return [
            WorkerInfo(
                address,
                worker["nthreads"],
                tuple(attempt_id for where, attempt_id in held if where == address),
                worker.get("metrics", {}).get("cpu"),
                worker.get("metrics", {}).get("memory"),
                worker["memory_limit"] or None,
            )
            for address, worker in self._cluster.info().items()
        ]

    def shutdown(self, timeout_s: float) -> int:
        """Wait for running attempts, kill those that can be killed, and close the cluster."""
        if self._membership is None:
            return 0
        left = self._attempts.wait_until_empty(timeout_s)
        if not self._closing.acquire(blocking=False):
            return len(left)
        for submitted in left:
            self.kill(submitted.attempt.id)
        left = self._attempts.close(_KILL_S if left else 0.0)
        self._membership.close()
        self._cluster.close()
        for submitted in left:
            outcome = Outcome(OutcomeKind.LOST, error=f"{submitted.place} was left behind", retryable=True)
            self._attempts.end(submitted, outcome)
        return 0 if self._cluster.is_ours else len(left)
