"""The connection to a Dask cluster: an existing one by its address, or one that is started for the run."""

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

from pipeloom.engine.executors.dask.log_routing import quiet_loggers, quiet_loop_errors
from pipeloom.errors import UsageError
from pipeloom.text import first_line

CONNECT_S: Final = 3.0
CLOSE_S: Final = 3.0

_NEVER: Final = "3650 days"


class Cluster:
    """A client, and the cluster itself if it was started for the run."""

    def __init__(self, address: str | None, workers: int) -> None:
        """Start a cluster of `workers` processes on this machine, or connect to the one at `address`.

        Raises `UsageError` when that cannot be done.
        """
        quiet_loggers.start()
        self._local: LocalCluster | None = None
        self._settings: dask.config.set | None = None
        """Settings of Dask's that hold in this process while a cluster of the run is there."""
        self.pids: set[int] = set()
        """Worker processes of a cluster that was started for the run."""
        try:
            self.client = self._start(workers) if address is None else _connect(address)
        except BaseException:
            self._close_local()
            quiet_loggers.stop()
            raise
        quiet_loop_errors(self.client.loop.asyncio_loop)
        self.address: str = self.client.scheduler.address

    @property
    def is_ours(self) -> bool:
        """Whether the cluster was started for the run, and ends with it."""
        return self._local is not None

    @property
    def is_reachable(self) -> bool:
        """Whether the client is connected to a scheduler."""
        return bool(self.client.status == "running")

    def scale(self, workers: int) -> None:
        """Start workers up to this number, if the cluster was started for the run."""
        if self._local is not None and workers > len(self._local.worker_spec):
            self._local.scale(workers)

    def info(self) -> dict[str, dict[str, Any]]:
        """Return what the scheduler knows of its workers, by address; blocks for one round trip."""
        found: dict[str, dict[str, Any]] = self.client.scheduler_info(n_workers=-1)["workers"]
        return found

    def close(self) -> None:
        """Close the client, and a cluster that was started for the run; takes `2 * CLOSE_S` at most."""
        closing = threading.Thread(target=self._close, name="pipeloom-dask-close", daemon=True)
        closing.start()
        closing.join(CLOSE_S)
        self.client.status = "closed"  # else the garbage collector closes it, and waits for a loop that has ended
        for pid in self.pids | self._worker_pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        closing.join(CLOSE_S)
        if self._local is None or self._local.status is Status.closed:
            quiet_loggers.stop()  # else Dask logs the end of the killed processes, now or later

    def _start(self, workers: int) -> Client:
        # When a worker dies, the engine retries its attempts, never the scheduler.
        # A nanny starts its worker again. Some time after each death Dask looks whether the worker is there, and closes
        # the nanny for good when it is not: the worker may have died again meanwhile, and be about to start.
        settings = {"distributed.scheduler.allowed-failures": 0, "distributed.deploy.lost-worker-timeout": _NEVER}
        try:
            self._settings = dask.config.set(settings)
            self._local = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )
            self._local.shutdown_on_close = False  # else a cluster that cannot be closed keeps the program from ending
            return Client(self._local, set_as_default=False, timeout=CONNECT_S)
        except (RuntimeError, OSError, ValueError) as error:
            guard = getattr(sys.modules["__main__"], "__file__", None)
            hint = "; a script needs `if __name__ == '__main__':`" if guard else ""
            why = first_line(error).rstrip(".")
            raise UsageError(f"No Dask cluster could be started here: {why}{hint}.") from error

    def _worker_pids(self) -> set[int]:
        """Return the worker processes of our own cluster that its nannies have; some have not reported to us yet."""
        nannies = [] if self._local is None else list(self._local.workers.values())
        return {pid for nanny in nannies if (pid := nanny.pid)}

    def _close(self) -> None:
        with suppress(OSError, RuntimeError, TimeoutError):
            if self._local is not None and self._local.worker_spec:
                # A nanny that is closed while it restarts its worker waits for it without end.
                self.client.wait_for_workers(len(self._local.worker_spec), timeout=CLOSE_S / 2)
        with suppress(OSError, RuntimeError, TimeoutError):
            self.client.close(timeout=CLOSE_S / 2)
        self._close_local()

    def _close_local(self) -> None:
        if self._local is not None:
            with suppress(OSError, RuntimeError, TimeoutError):
                self._local.close(timeout=CLOSE_S / 2)
        settings, self._settings = self._settings, None
        if settings is not None:
            settings.__exit__(None, None, None)


def _connect(address: str) -> Client:
    try:
        _check_address(address)
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


def _check_address(address: str) -> None:
    """Raise when the address is malformed, and when no Dask scheduler answers there.

    A client with a malformed address would be closed later by the garbage collector, on any thread; and it waits
    without a time limit for a server that accepts the connection but does not answer.
    """
    scheme, place = parse_address(address)
    if not place:
        raise ValueError("it names no host and port")
    arguments = Security().get_connection_args("client")
    if scheme == "tls" and not arguments.get("ssl_context"):
        raise ValueError("Dask's configuration names no certificates (distributed.comm.tls)")

    async def identify() -> None:
        async with asyncio.timeout(CONNECT_S + 1):
            comm = await connect(address, timeout=CONNECT_S, **arguments)
            try:
                await comm.write({"op": "identity", "reply": True})
                who = (await comm.read())["type"]
            finally:
                comm.abort()
        if who in ("Worker", "Nanny"):
            raise ValueError(f"a Dask {who.lower()} listens there; the scheduler has an address of its own")

    with ThreadPoolExecutor(1) as pool:  # this thread may have a running loop, as in a notebook
        try:
            pool.submit(asyncio.run, identify()).result()
        except TimeoutError as error:
            raise OSError("who listens there does not answer as Dask does") from error


def _reason(error: BaseException) -> str:
    """Return the text of the innermost cause that has one."""
    inner = "" if error.__cause__ is None else _reason(error.__cause__)
    return inner or (first_line(error) if str(error) else "")


def _check_versions(client: Client) -> None:
    """Raise `UsageError` unless the scheduler and every worker have this Python and this pipeloom."""
    found = client.get_versions(packages=["pipeloom"])
    mine = _versions(found["client"])
    places = {"scheduler": found["scheduler"], **{f"worker {name}": one for name, one in found["workers"].items()}}
    for place, one in places.items():
        if (theirs := _versions(one)) != mine:
            raise UsageError(
                f"The Dask {place} has {_named(theirs)}, but this program is {_named(mine)}: install the same there."
            )


def _versions(found: dict[str, Any]) -> tuple[str, str | None]:
    python = ".".join(found["host"]["python"].split(".")[:2])
    return python, found["packages"].get("pipeloom")


def _named(versions: tuple[str, str | None]) -> str:
    python, pipeloom = versions
    return f"Python {python} with {f'pipeloom {pipeloom}' if pipeloom else 'no pipeloom'}"
