"""The way to a Dask cluster: one of our own that is closed with the run, or somebody's, by its address."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

import dask
from distributed import Client, LocalCluster, Status
from distributed.comm import connect, parse_address
from distributed.security import Security

from pipeloom.engine.executors.dask.log_routing import hush, silence
from pipeloom.errors import UsageError
from pipeloom.text import first_line

CONNECT_S: Final = 3.0
CLOSE_S: Final = 3.0


class Cluster:
    """A client, and the cluster behind it if it is our own."""

    def __init__(self, address: str | None, workers: int) -> None:
        """Start a cluster of `workers` processes on this machine, or connect to the one at `address`.

        Raises `UsageError` when that cannot be done.
        """
        silence.start()
        self._local: LocalCluster | None = None
        self.pids: set[int] = set()
        """Processes of our own cluster's workers."""
        try:
            self.client = self._start(workers) if address is None else _connect(address)
        except BaseException:
            self._close_local()
            silence.stop()
            raise
        hush(self.client.loop.asyncio_loop)
        self.address: str = self.client.scheduler.address

    @property
    def is_ours(self) -> bool:
        """Whether the cluster was started by us, and ends with us."""
        return self._local is not None

    @property
    def is_reachable(self) -> bool:
        """Whether there is a scheduler to talk to."""
        return bool(self.client.status == "running")

    def scale(self, workers: int) -> None:
        """Have at least so many workers, if the cluster is our own."""
        if self._local is not None and workers > len(self._local.worker_spec):
            self._local.scale(workers)

    def info(self) -> dict[str, dict[str, Any]]:
        """Return what the scheduler knows of its workers, by address; blocks for a round trip."""
        found: dict[str, dict[str, Any]] = self.client.scheduler_info(n_workers=-1)["workers"]
        return found

    def close(self) -> None:
        """Hang up, and end our own cluster; takes no longer than some seconds, whatever has become of it."""
        closing = threading.Thread(target=self._close, name="pipeloom-dask-close", daemon=True)
        closing.start()
        closing.join(CLOSE_S)
        self.client.status = "closed"  # else the garbage collector would close it, and wait for a loop that has ended
        for pid in self.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        closing.join(CLOSE_S)
        if self._local is None or self._local.status is Status.closed:
            silence.stop()  # else it would have its say about the processes that were ended, now or later

    def _start(self, workers: int) -> Client:
        # One failure: an attempt whose worker died is ours to run again, never the scheduler's.
        settings = {"distributed.scheduler.allowed-failures": 0}
        try:
            with dask.config.set(settings):
                self._local = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.CRITICAL,
                )
            return Client(self._local, set_as_default=False, timeout=CONNECT_S)
        except (RuntimeError, OSError, ValueError) as error:
            guard = getattr(sys.modules["__main__"], "__file__", None)
            hint = "; a script needs `if __name__ == '__main__':`" if guard else ""
            why = first_line(error).rstrip(".")
            raise UsageError(f"No Dask cluster could be started here: {why}{hint}.") from error

    def _close(self) -> None:
        with suppress(OSError, RuntimeError, TimeoutError):
            self.client.close(timeout=CLOSE_S / 2)
        self._close_local()

    def _close_local(self) -> None:
        if self._local is not None:
            with suppress(OSError, RuntimeError, TimeoutError):
                self._local.close(timeout=CLOSE_S / 2)


def _connect(address: str) -> Client:
    try:
        _knock(address)
        client = Client(address, set_as_default=False, timeout=CONNECT_S, name="pipeloom")
    except (OSError, ValueError, TypeError, RuntimeError, TimeoutError) as error:
        why = _reason(error).rstrip(".")
        raise UsageError(f"There is no Dask scheduler to talk to at {address!r}: {why}.") from error
    try:
        _check_versions(client)
    except BaseException:
        client.close(timeout=CLOSE_S)
        raise
    return client


def _knock(address: str) -> None:
    """Raise for what is no address, and when nobody answers there as Dask does.

    A client that cannot even try would be closed by the garbage collector later, on whatever thread that is then; and
    it would wait without end for one who listens and says nothing.
    """
    scheme, place = parse_address(address)
    if not place:
        raise ValueError("it names no host and port")
    arguments = Security().get_connection_args("client")
    if scheme == "tls" and not arguments.get("ssl_context"):
        raise ValueError("Dask's configuration names no certificates (distributed.comm.tls)")

    async def knock() -> None:
        async with asyncio.timeout(CONNECT_S + 1):
            comm = await connect(address, timeout=CONNECT_S, **arguments)
            try:
                await comm.write({"op": "identity", "reply": True})
                who = (await comm.read())["type"]
            finally:
                comm.abort()
        if who in ("Worker", "Nanny"):
            raise ValueError(f"a Dask {who.lower()} listens there; the scheduler has an address of its own")

    with ThreadPoolExecutor(1) as elsewhere:  # this thread may have a loop that runs, as in a notebook
        try:
            elsewhere.submit(asyncio.run, knock()).result()
        except TimeoutError as error:
            raise OSError("who listens there does not answer as Dask does") from error


def _reason(error: BaseException) -> str:
    """Return the words of the first cause that has any."""
    first = "" if error.__cause__ is None else _reason(error.__cause__)
    return first or (first_line(error) if str(error) else "")


def _check_versions(client: Client) -> None:
    """Raise `UsageError` unless the scheduler and every worker have this Python and this pipeloom."""
    found = client.get_versions(packages=["pipeloom"])
    mine = _versions(found["client"])
    places = {"scheduler": found["scheduler"], **{f"worker {name}": one for name, one in found["workers"].items()}}
    for place, one in places.items():
        if (theirs := _versions(one)) != mine:
            raise UsageError(
                f"The Dask {place} has {_told(theirs)}, but this program is {_told(mine)}: install the same there."
            )


def _versions(found: dict[str, Any]) -> tuple[str, str | None]:
    python = ".".join(found["host"]["python"].split(".")[:2])
    return python, found["packages"].get("pipeloom")


def _told(versions: tuple[str, str | None]) -> str:
    python, pipeloom = versions
    return f"Python {python} with {f'pipeloom {pipeloom}' if pipeloom else 'no pipeloom'}"
