"""The control client: sends commands to the owner of a file, another process of the same user."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

from pipeloom.engine.clock import SYSTEM_CLOCK, Clock
from pipeloom.engine.commands import CommandResult, EngineLoad
from pipeloom.engine.control import spool
from pipeloom.engine.control.request import EXPIRES_S, NamedLimit, Reply, Request, RequestError, read_reply
from pipeloom.errors import ControlError
from pipeloom.filters import Filter
from pipeloom.limits.limit import Limit
from pipeloom.store.file.owner import is_owned, owner_name
from pipeloom.times import monotonic, stamp

PATIENCE_S: Final = 10.0
_POLL_S: Final = 0.02


def with_waiting(where: Filter, db_path: Path, run_id: int) -> Filter:
    """Return a filter with each `waits:` decided by the process that has the run under way; raises `ControlError`."""
    if not where.waited_for or not is_owned(db_path):
        return where
    client = ControlClient(db_path, run_id)
    return where.with_waiting(client.waiting_for)


class ControlClient:
    """The commands of a run in another process. Each waits for its answer, and raises `ControlError` without one."""

    is_started = True

    def __init__(
        self,
        db_path: Path,
        run_id: int,
        *,
        patience_s: float = PATIENCE_S,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._db_path = db_path
        self._path = spool.spool_path(db_path)
        self._patience_s = patience_s
        self._clock = clock
        self.run_id = run_id
        self._given_up = threading.Event()
        self.known_load: EngineLoad | None = None
        """The load of the engine at its last answer."""
        self.answered_s = float("-inf")
        """When that was, in monotonic seconds."""

    def cancel(self, attempt_ids: Iterable[int]) -> CommandResult:
        """Cancel attempts: those that wait end at once, those that run are asked to stop."""
        return self.ask("cancel", attempt_ids).result

    def retry(self, attempt_ids: Iterable[int], *, from_start: bool = False) -> CommandResult:
        """Follow ended attempts by new ones; one that waits for its due time starts now."""
        return self.ask("retry_from_start" if from_start else "retry", attempt_ids).result

    def retry_code(self, attempt_ids: Iterable[int], pipeline: str) -> CommandResult:
        """Retry with the code of `pipeline` as it is on disk; raises `ControlError` when the run is of another one."""
        return self.ask("retry_code", attempt_ids, pipeline=pipeline).result

    def abandon(self, attempt_ids: Iterable[int]) -> CommandResult:
        """Give up on attempts whose workers do not stop."""
        return self.ask("abandon", attempt_ids).result

    def pause(self) -> None:
        """Stop dispatching; running attempts go on."""
        self.ask("pause")

    def resume(self) -> None:
        """Dispatch again."""
        self.ask("resume")

    def set_workers(self, workers: int) -> int:
        """Change the number of workers and return it."""
        self.ask("set_workers", workers=workers)
        return workers

    def set_limit(self, name: str, limit: Limit) -> Limit:
        """Change a limit, by the name under which it is declared, and return it; attempts that hold it go on."""
        self.ask("set_limit", limit=(name, limit))
        return limit

    def load(self) -> EngineLoad:
        """Return how busy the engine is."""
        load = self.ask("load").load
        if load is None:
            raise ControlError("The answer has not the form that this version understands.")
        return load

    def why_waiting(self, attempt_ids: Iterable[int]) -> dict[int, str]:
        """Return why attempts have not begun, in words; of up to a thousand."""
        return self.ask("why_waiting", attempt_ids).waits

    def waiting_for(self, what: Collection[str]) -> tuple[int, ...]:
        """Return the attempts that wait for one of `what`: see `pipeloom.filters.conditions.WaitsFor`."""
        return self.ask("waiting_for", what=tuple(what)).waiting

    def give_up(self) -> None:
        """Stop waiting for an answer; from any thread."""
        self._given_up.set()

    def ask(
        self,
        command: str,
        attempt_ids: Iterable[int] = (),
        *,
        workers: int | None = None,
        limit: NamedLimit | None = None,
        pipeline: str | None = None,
        what: tuple[str, ...] = (),
        request_id: str | None = None,
    ) -> Reply:
        """Return the reply to a request. A `request_id` that was used before is answered, not carried out again."""
        now = self._clock.now()
        request = Request(
            id=request_id or str(uuid4()),
            run_id=self.run_id,
            command=command,
            attempts=tuple(attempt_ids),
            workers=workers,
            limit=limit,
            pipeline=pipeline,
            what=what,
            pid=os.getpid(),
            host=os.uname().nodename,
            asked_at=stamp(now),
            expires_at=stamp(now + timedelta(seconds=EXPIRES_S)),
        )
        reply = self._send(request)
        if reply.refusal is not None:
            raise ControlError(reply.refusal)
        self.known_load, self.answered_s = reply.load, monotonic()
        return reply

    def _send(self, request: Request) -> Reply:
        data = request.encoded()
        if len(data) > spool.MAX_BYTES:
            raise ControlError("These are too many tasks at once: ask for fewer.")
        if not is_owned(self._db_path):
            raise ControlError(f"No process runs a pipeline on {self._db_path}: there is nothing to control.")
        try:
            with spool.opened(self._path) as directory:
                spool.write(directory, f"{request.id}.request", data)
                return self._await(directory, request.id)
        except FileNotFoundError:
            raise ControlError(f"{owner_name(self._db_path)} takes no requests.") from None
        except OSError as error:
            raise ControlError(f"{self._path} cannot be used: {error.strerror}.") from error

    def _await(self, directory: int, request_id: str) -> Reply:
        deadline = monotonic() + self._patience_s
        name = f"{request_id}.answer"
        while True:
            try:
                raw = spool.read(directory, name)
                spool.remove(directory, name)
                return read_reply(request_id, raw)
            except FileNotFoundError:
                pass  # not yet
            except (spool.NotOursError, RequestError) as error:
                raise ControlError(f"The answer cannot be understood: {error}") from error
            if os.fstat(directory).st_nlink == 0 or not is_owned(self._db_path):
                raise ControlError("The run has ended before it answered.")
            if monotonic() > deadline:
                spool.remove(directory, f"{request_id}.request")
                late = f"did not answer within {self._patience_s:g} s: the request was withdrawn"
                raise ControlError(f"{owner_name(self._db_path)} {late}.")
            if self._given_up.wait(_POLL_S):
                raise ControlError("The answer was not waited for.")
