"""What the program and Dask's workers send each other, besides the attempts that Dask itself brings to a worker.

A worker publishes a `ReadyWorker`; from then on the records of its attempts go to the program through a queue of its
own on the scheduler. The program publishes commands to all workers: `{"stop": [key, …]}` and `{"kill": key}`.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from distributed import Queue

Record = tuple[str, int, Any]
"""Kind, attempt id and value of one thing that an attempt reports."""

STARTED: Final = "started"
"""Value: the attempt's Dask key. The user's code is about to run; without this record it did not run."""
MESSAGE: Final = "message"
"""Value: an entry for the writer that holds builtins only."""
PICKLED: Final = "pickled"
"""Value: the pickle of an entry for the writer."""
ENDED: Final = "ended"
"""Value: the pickle of the `Outcome`. The last record of the attempt."""

QUEUED_BATCHES: Final = 16
"""Maximum batches of records in the queue of one worker."""

_CLOSES: Final = 4


class ReadyWorker(NamedTuple):
    """A worker that can run attempts. Published as a dict."""

    address: str
    queue: str
    """Name of the queue with its records."""
    pid: int
    threads: int
    nanny: bool
    """Whether Dask starts its process again when that has ended."""


def control_topic(run: str) -> str:
    """Return the topic of the program's commands to all workers."""
    return f"{run}-control"


def ready_topic(run: str) -> str:
    """Return the topic under which workers publish that they are ready."""
    return f"{run}-ready"


def delete_queue(queue: Queue) -> None:
    """Delete the queue from the scheduler.

    The scheduler counts the clients that have opened it, dead ones included: both ends have, once or twice. To close it
    too often is harmless.
    """
    for _ in range(_CLOSES):
        queue.close()
