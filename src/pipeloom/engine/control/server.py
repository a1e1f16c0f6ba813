"""The control server: carries out requests of other processes, on its own thread, while a run goes on."""

from __future__ import annotations

import json
import logging
import os
import pwd
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pipeloom.engine.clock import Clock
from pipeloom.engine.commands import CommandResult, Commands
from pipeloom.engine.control import spool
from pipeloom.engine.control.request import QUESTIONS, Reply, Request, RequestError, has_expired, read_request
from pipeloom.engine.events import Commanded
from pipeloom.errors import ControlError, PipeloomError
from pipeloom.secrets import masked, masked_json
from pipeloom.text import clean, storable
from pipeloom.times import stamp

POLL_S: Final = 0.2
_REMEMBERED: Final = 1_000
_FETCH_S: Final = 0.5
"""Seconds that a client gets to fetch its answer, before the spool is removed at the end of the run."""
_KEPT_ARGUMENTS: Final = 2_000
_log = logging.getLogger(__name__)


class ControlServer:
    """Carries out each request once, answers it, and records it. An idle look at the spool costs one `stat`."""

    def __init__(
        self,
        db_path: Path,
        commands: Commands,
        clock: Clock,
        record: Callable[[Commanded], None],
        renew: Callable[[str], None],
    ) -> None:
        """`renew` has the code of a pipeline loaded again; raises `UsageError` for any but the run's own."""
        self._path = spool.spool_path(db_path)
        self._commands = commands
        self._clock = clock
        self._record = record
        self._renew = renew
        self._seen = 0
        self._again = False
        self._answers: OrderedDict[str, bytes] = OrderedDict()
        """The latest answers by request."""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._main, name="pipeloom-control", daemon=True)

    def start(self) -> None:
        """Start with an empty spool; a run that cannot have one goes on without."""
        try:
            spool.make_spool(self._path)
            self._thread.start()
        except (ControlError, RuntimeError) as error:  # RuntimeError: the system allows no more threads
            _log.warning("Other programs cannot control this run: %s", clean(error))
            spool.remove_spool(self._path)

    def stop(self) -> None:
        """Stop; requests that were just made are still answered."""
        if self._thread.ident is None:
            return
        self._stopped.set()
        self._thread.join()

    def _main(self) -> None:
        try:
            while not self._stopped.wait(POLL_S):
                self._look()
            self._serve_last()
        except Exception:  # noqa: BLE001 - logged: no thread of ours dies unseen, and the run goes on without this one
            _log.exception("Other programs can no longer control this run")
        finally:
            spool.remove_spool(self._path)

    def _look(self) -> None:
        """Serve if the spool has changed, and once more at the next look, for changes within the same clock tick."""
        try:
            changed = os.stat(self._path, follow_symlinks=False).st_mtime_ns  # noqa: PTH116 - all that an idle look costs
            if changed != self._seen or self._again:
                self._again = changed != self._seen
                self._seen = changed
                self._serve()
        except FileNotFoundError:
            spool.make_spool(self._path)  # another program has removed it
        except OSError as error:
            _log.warning("The requests of other programs cannot be read: %s", clean(error))

    def _serve(self) -> None:
        with spool.opened(self._path) as directory:
            for entry in spool.entries(directory):
                if entry.request_id is None:
                    _log.warning("Removed from the spool, where it has no place: %s", clean(entry.name, 100))
                    spool.remove(directory, entry.name)
                elif entry.is_request:
                    self._answer_request(directory, entry.name, entry.request_id)
                    self._again = True
                elif entry.age_s > spool.FORGOTTEN_S:
                    spool.remove(directory, entry.name)

    def _answer_request(self, directory: int, name: str, request_id: str) -> None:
        try:
            raw = spool.read(directory, name)
        except FileNotFoundError:
            return  # withdrawn
        except spool.NotOursError as error:
            _log.warning("Removed from the spool, unread: %s", clean(error))
            spool.remove(directory, name)
            return
        answer = self._answers.get(request_id)
        if answer is None:
            reply, is_question = self._answer(request_id, raw)
            answer = reply.encoded(request_id)
            if not is_question:  # which may be carried out twice, and whose answer may be long
                self._answers[request_id] = answer
            while len(self._answers) > _REMEMBERED:
                self._answers.popitem(last=False)
        spool.write(directory, f"{request_id}.answer", answer)
        spool.remove(directory, name)

    def _answer(self, request_id: str, raw: bytes) -> tuple[Reply, bool]:
        """Return the reply to a request, and whether that is a question."""
        try:
            request = read_request(request_id, raw, self._clock.now())
        except RequestError as error:
            _log.warning("A request was refused: %s", clean(error))
            return Reply(str(error)), False
        reply, is_question = self._carry_out(request), request.command in QUESTIONS
        if not is_question:
            self._record(self._entry(request, reply))
        return reply, is_question

    def _carry_out(self, request: Request) -> Reply:
        """Carry out the command of the request."""
        commands = self._commands
        if self._stopped.is_set():
            return Reply("The run is being closed.")
        if has_expired(request, self._clock.now()):
            return Reply("The request has expired.")
        if request.run_id != commands.run_id:
            return Reply(f"Run {request.run_id} is over; run {commands.run_id} is under way.")
        try:
            if request.command == "why_waiting":
                return Reply(load=commands.load(), waits=commands.why_waiting(request.attempts))
            if request.command == "waiting_for":
                return Reply(load=commands.load(), waiting=commands.waiting_for(request.what))
            result = self._call(request)
        except PipeloomError as error:
            return Reply(masked(str(error)))
        return Reply(None, result, commands.load())

    def _call(self, request: Request) -> CommandResult:
        commands, result = self._commands, CommandResult()
        match request.command:
            case "cancel":
                result = commands.cancel(request.attempts)
            case "retry" | "retry_from_start":
                result = commands.retry(request.attempts, from_start=request.command != "retry")
            case "retry_code" if request.pipeline is not None:
                self._renew(request.pipeline)
                result = commands.retry(request.attempts)
            case "abandon":
                result = commands.abandon(request.attempts)
            case "pause":
                commands.pause()
            case "resume":
                commands.resume()
            case "set_workers" if request.workers is not None:
                commands.set_workers(request.workers)
            case "set_limit" if request.limit is not None:
                commands.set_limit(*request.limit)
        return result

    def _entry(self, request: Request, reply: Reply) -> Commanded:
        who = f"{_user()} pid {request.pid} on {request.host}"
        return Commanded(
            request.id,
            request.command,
            storable(masked_json(json.dumps(request.arguments)), _KEPT_ARGUMENTS),
            storable(clean(who, 200), 200),
            request.asked_at,
            storable(reply.sentence, 500),
            stamp(self._clock.now()),
        )

    def _serve_last(self) -> None:
        """Refuse the last requests, and wait until the last answers are fetched."""
        self._serve()
        pause = threading.Event()
        for _ in range(round(_FETCH_S / 0.02)):
            with spool.opened(self._path) as directory:
                left = spool.entries(directory)
            if not any(entry.age_s < spool.FORGOTTEN_S and not entry.is_request for entry in left):
                return
            pause.wait(0.02)


def _user() -> str:
    """Return the name of this user; only this user's files are read."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user {os.geteuid()}"
