"""Gives attempts to Dask, many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distributed import Client, Future

from pipeloom.engine.attempt import Attempt
from pipeloom.engine.executors.dask.serialization import packed, packed_code
from pipeloom.engine.executors.dask.worker import run_attempt

Parcel = tuple[str, tuple[int, int], bytes, bytes]
"""Key, id and number of the attempt, the pickle of what all have in common, and that of the task."""


class Sender:
    """Makes parcels of attempts and sends them."""

    def __init__(self, run: str, client: Client) -> None:
        self._run = run
        self._client = client
        self._code: tuple[tuple[Any, ...], bytes] | None = None

    def parcel(self, key: str, attempt: Attempt) -> Parcel:
        """Return the attempt as it travels; raises whatever pickling raises."""
        return key, attempt[:2], self._code_of(attempt), packed(attempt.task)

    def send(self, parcels: Sequence[Parcel]) -> list[Future]:
        """Have Dask run them, on any worker and each once, as far as that is for us to say."""
        keys, numbers, codes, tasks = zip(*parcels, strict=True)
        runs = [self._run] * len(keys)
        futures: list[Future] = self._client.map(
            run_attempt, runs, keys, numbers, codes, tasks, key=list(keys), pure=False, retries=0
        )
        return futures

    def _code_of(self, attempt: Attempt) -> bytes:
        """Return the pickle of what all attempts of a run have in common, made once."""
        parts = (attempt.worker_fn, attempt.message_types, attempt.retry_on)
        if self._code is None or any(known is not part for known, part in zip(self._code[0], parts, strict=True)):
            self._code = parts, packed_code(parts)
        return self._code[1]
