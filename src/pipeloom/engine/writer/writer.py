"""The writer thread: drains the inbox, commits in groups, and tells the sinks what is on disk."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pipeloom.engine.attempt import AttemptIds
from pipeloom.engine.capture import AttemptLog
from pipeloom.engine.clock import Clock
from pipeloom.engine.events import KEPT_TEXT, CodeChanged, Commanded, Logged, RunChanged, Whole
from pipeloom.engine.interpreter import start_thread
from pipeloom.engine.writer.batch import Fold, Rejection, TransactionLostError, restored
from pipeloom.engine.writer.found_tasks import FoundTasks
from pipeloom.engine.writer.handler_calls import AbandonedError, HandlerCalls
from pipeloom.engine.writer.inbox import Entry, Inbox
from pipeloom.engine.writer.log_retention import log_changes
from pipeloom.engine.writer.open_attempts import OpenAttempts
from pipeloom.engine.writer.open_file import OpenFile
from pipeloom.engine.writer.opening import Opened, Opening
from pipeloom.engine.writer.savepoints import Joined, Savepoints, joined, kind_of
from pipeloom.engine.writer.sink import CommitBatch, Sink, Sinks
from pipeloom.engine.writer.tries import Tries
from pipeloom.engine.writer.writer_code import WriterCode
from pipeloom.errors import DamagedFileError, StoreError
from pipeloom.messages import MsgTaskProgress, TaskId
from pipeloom.pipeline import Handler, Pipeline, SchemaHelper
from pipeloom.status import FINAL, RunStatus
from pipeloom.store.file.damage import damaged, is_damage
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.store.write.connect import is_foreign_key, is_outcome_unknown, is_storage_trouble
from pipeloom.store.write.ledger import Ledger
from pipeloom.text import clean, storable
from pipeloom.times import later, monotonic, stamp

MAX_BATCH: Final = 10_000
WINDOW_S: Final = 0.01
HEARTBEAT_S: Final = 5.0
_LAST_S: Final = 0.3
"""Seconds that a handler gets to return once the writer gives up."""
_DISK_S: Final = 10.0
"""Seconds that the disk gets then: without a handler the writer ends by itself, unless the disk hangs."""

_log = logging.getLogger(__name__)


class Writer:
    """Owns the connection from open to close, on its own thread."""

    def __init__(
        self,
        path: Path,
        open_connection: Callable[[], sqlite3.Connection],
        inbox: Inbox,
        clock: Clock,
        *,
        code: str | None = None,
        handlers: dict[type, Handler],
        handler_timeouts: Mapping[type, float] = MappingProxyType({}),
        schemas: Iterable[SchemaHelper],
        sinks: Sequence[Sink],
        on_rejected: Callable[[int, Rejection], None],
        keep_lock: Callable[[], None],
        known_tasks: Container[TaskId] = frozenset(),
        done_tasks: Container[TaskId] = (),
        keeps_attempts: bool = True,
    ) -> None:
        self._path = path
        self._open_connection = open_connection
        self._inbox = inbox
        self._clock = clock
        self._handlers = HandlerCalls(code, handlers, handler_timeouts)
        self._code = WriterCode(self._handlers, schemas, inbox)
        self._sinks = Sinks(sinks)
        self._on_rejected, self._keep_lock = on_rejected, keep_lock
        self._known_tasks, self._done_tasks = known_tasks, done_tasks
        self.keeps_attempts = keeps_attempts
        """Whether runs and attempts are in the file, not in memory alone."""
        self._file: OpenFile
        self._thread = self._new_thread()
        self.opening = Opening()
        self._attempt_ids: AttemptIds | None = None
        """Gives the ids of this run's attempts, once the run is in the file."""
        self._open_attempts = OpenAttempts()
        self._log_counts: dict[int, int] = {}
        """Number of log lines so far, by open attempt."""
        self._rejections: dict[int, Rejection] = {}
        self._seq = 0
        self._last_beat = float("-inf")
        self._giving_up = threading.Event()
        self.unsaved = 0
        """Entries that could not be written: above 0 once the writer has stopped."""

    def start(self, run: RunRow) -> Opened:
        """Open the file, set it up and insert the run; raises what went wrong."""
        self._run, self._began_s = run, self._clock.monotonic()
        return self._start()

    def go_on(self) -> Opened:
        """Open the file again after `stop`, for the same run; raises what went wrong, a run that is not there included.

        What other runs have changed meanwhile is read again: the ids that they have given, the states of tasks.
        """
        self._inbox.reopen()
        self._giving_up.clear()
        self.opening = Opening()
        self._thread = self._new_thread()
        return self._start()

    def take_code(self, code: str | None, pipeline: Pipeline) -> None:
        """Know other code, with this hash, as `WriterCode.take`; raises as that."""
        self._code.take(code, pipeline, self._thread)

    def _new_thread(self) -> threading.Thread:
        return threading.Thread(target=self._main, name="pipeloom-writer", daemon=True)

    def _start(self) -> Opened:
        start_thread(self._thread)
        try:
            return self.opening.wait()
        except BaseException:  # for example a ctrl+c
            if not self.opening.give_up():
                now, run = stamp(self._clock.now()), self._run
                self._inbox.put_now((0, RunChanged(RunStatus.INTERRUPTED, now, run.workers or 0, run.unchanged)))
                self.stop(_LAST_S)
            raise

    def join(self, patience_s: float | None = None) -> bool:
        """Wait for the end of the thread; returns whether it has come."""
        if self._thread.ident is not None:
            self._thread.join(patience_s)
        return not self._thread.is_alive()

    def stop(self, patience_s: float) -> bool:
        """Write what is in the inbox, close the file, end the thread; returns whether the file has been let go.

        After `patience_s` seconds it waits neither for a file that cannot be written now nor for a handler. Entries
        that are unsaved then are counted.
        """
        self._inbox.close()
        self._thread.join(patience_s)
        self._giving_up.set()
        if self._thread.is_alive():
            self._handlers.interrupt(self._file.connection)
        begin = monotonic()
        while self._thread.is_alive():
            stuck = self._handlers.running
            if monotonic() - begin > (_DISK_S if stuck is None else _LAST_S):
                what = (
                    "the disk does not answer" if stuck is None else f"the handler for {stuck.__name__} does not return"
                )
                self._fail(StoreError(what))
                return self._handlers.abandon(self._file.connection, self._file.authorizer)
            self._thread.join(0.02)
        return True

    def _main(self) -> None:
        try:
            self._open()
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits in `start`
            self.opening.fail(error)
            return
        try:
            self._loop()
            self._file.identity.check()
        except AbandonedError:
            return  # the thread that stops the writer has told the sinks, and has closed the file
        except DamagedFileError as error:
            self._fail(error)
            self._file.leave()
        except BaseException as error:  # noqa: BLE001 - a writer must not die unseen: every sink is told
            self._fail(error)
            self._file.close()
        else:
            self._file.close()

    def _open(self) -> None:
        file = self._file = OpenFile(self._path, self._open_connection)
        try:
            self.opening.connection = file.connection
            self._code.set_up(file)
            with self.opening.entering():
                self._enter(file.ledger)
        except sqlite3.Error as error:
            file.close()
            raise StoreError(f"{self._path} cannot be written: {clean(error)}.") from error
        except BaseException:
            file.close()
            raise

    def _enter(self, ledger: Ledger) -> None:
        """End what a dead owner left open, and insert the run, or find it in the file again."""
        ledger.begin()
        if recovered := ledger.recover():
            _log.warning("%d attempts of a run that was killed are now marked as interrupted", recovered)
        if self._attempt_ids is None:
            self._run = ledger.insert_run(self._run)
            self._attempt_ids = AttemptIds(ledger.next_attempt_id())
            found = FoundTasks(self._run.id, self._attempt_ids, self._known_tasks, self._done_tasks)
            self._savepoints = Savepoints(self._handlers, found, self._giving_up)
            self._open_attempts = OpenAttempts(self._attempt_ids.first)
        elif ledger.commits(self._run.id) != self._seq:
            raise StoreError(f"Run {self._run.id} is no longer in {self._path} as it was: run the pipeline again.")
        self._attempt_ids.skip_to(ledger.next_attempt_id())
        states = ledger.states(self._run.pipeline) if self.keeps_attempts else None
        last_start = ledger.last_start(self._run)
        self._past = ledger.runs_before(self._run) if self._handlers.has_any else []
        ledger.commit()
        self.opening.succeed(Opened(self._run, self._attempt_ids, states, last_start))

    def _loop(self) -> None:
        finished = False
        while not finished:
            entries, finished = self._inbox.drain(MAX_BATCH, WINDOW_S, HEARTBEAT_S)
            self._code.look(self._file)
            self._commit_surely(entries)

    def _commit_surely(self, entries: list[Entry], later: int = 0) -> None:
        """Commit the batch; while the file cannot be written, keep the batch, tell the sinks, and try again.

        A batch that leaves a foreign key unfulfilled is halved, down to the message. `later` entries follow.
        """
        self.unsaved = len(entries) + later
        tries = Tries(self._giving_up)
        while True:
            try:
                batch = self._commit(entries)
                break
            except sqlite3.Error as error:
                if is_damage(error):
                    raise damaged(self._path, error) from error
                if is_foreign_key(error) and (half := len(entries) // 2):
                    self._file.ledger.rollback()
                    self._commit_surely(entries[:half], later + len(entries) - half)
                    self._commit_surely(entries[half:], later)
                    return
                if not is_storage_trouble(error):
                    raise
                self._file.ledger.rollback()
                if not tries.made:
                    _log.warning("The file cannot be written now, and is tried again: %s", clean(error))
                self._sinks.writer_waiting(clean(error))
                tries.wait(error)
        self.unsaved = self._savepoints.refused + later
        self._sinks.writer_waiting(None)
        if batch is not None:
            self._sinks.committed(batch)

    def _commit(self, entries: list[Entry]) -> CommitBatch | None:
        """Write the entries in one transaction and return what it changed; replay it when a handler rolled it back."""
        taken, skipped = joined(entries), dict[int, Rejection]()
        while True:
            try:
                return self._transact(taken, skipped, len(entries))
            except TransactionLostError as lost:
                if type(taken[lost.index][1]) is Joined:
                    taken, skipped = entries, {}  # each by itself, to see which of them it was
                else:
                    skipped[lost.index] = lost.rejection
            except sqlite3.IntegrityError as error:
                if len(entries) != 1 or skipped or not is_foreign_key(error):
                    raise
                self._file.ledger.rollback()
                skipped[0] = Rejection.of(kind_of(entries[0][1]), error)

    def _transact(self, entries: list[Entry], skipped: dict[int, Rejection], messages: int) -> CommitBatch | None:
        now = self._clock.now()
        started = monotonic()
        beat = self._clock.monotonic() - self._last_beat >= HEARTBEAT_S
        if not entries and not beat:
            return None
        self._keep_lock()
        self._file.identity.check()
        self._file.ledger.begin()
        rejected = dict(self._rejections)
        usual_rows = partial(self._file.ledger.usual_rows, self._past)
        fold = Fold(self._open_attempts, rejected, stamp(now), usual_rows)
        commands: list[Commanded] = []
        run = self._apply(entries, fold, rejected, skipped, commands)
        inserts, updates = fold.flush()
        self._file.ledger.insert_attempts(inserts)
        stored, lost = self._file.ledger.update_attempts(updates)
        self._file.ledger.insert_attempts(restored(lost, stored, rejected))
        self._file.ledger.put_states(self._run.pipeline, fold.states)
        logs = log_changes(fold.logs, self._log_counts)
        self._file.ledger.insert_logs(logs.inserts)
        self._file.ledger.drop_logs(logs.drops)
        if run is not None:
            self._file.ledger.update_run(run)
        self._file.ledger.note_run(self._run.id, fold.run_lines)
        self._file.ledger.insert_commands(self._run.id, map(astuple, commands))
        alive_at = later(self._run.started_at, self._clock.monotonic() - self._began_s)  # whatever the wall clock says
        self._file.ledger.beat(run or self._run, alive_at, self._seq + 1)
        self._finish_transaction()
        self._file.identity.check(committed=True)
        self._log_counts.update(logs.counts)
        return self._committed(messages, inserts, updates, stored, fold, run, rejected, monotonic() - started)

    def _finish_transaction(self) -> None:
        """Commit; after an I/O error, ask the file whether the COMMIT happened."""
        try:
            self._file.ledger.commit()
        except sqlite3.Error as error:
            if not is_outcome_unknown(error) or not self._was_committed(error):
                raise

    def _was_committed(self, error: sqlite3.Error) -> bool:
        _log.warning("COMMIT failed, and the file is asked what it holds: %s", clean(error))
        waiting = partial(self._sinks.writer_waiting, clean(error))
        commits = self._file.commits_on_disk(self._run.id, Tries(self._giving_up), waiting)
        if commits not in (self._seq, self._seq + 1):
            raise StoreError(f"it is not known whether the last changes were saved: {clean(error)}") from error
        return commits > self._seq

    def _apply(
        self,
        entries: list[Entry],
        fold: Fold,
        rejected: dict[int, Rejection],
        skipped: dict[int, Rejection],
        commands: list[Commanded],
    ) -> RunRow | None:
        """Apply the entries in order: progress and lifecycle are folded, domain messages go to their handlers."""
        run: RunRow | None = None
        progress = fold.progress
        store = partial(self._savepoints.store, self._file.ledger, self._file.authorizer)
        handled = 0

        def write(level: str, text: str, at: str | None) -> None:
            fold.lifecycle(handled, Logged(storable(level, 20), storable(text, KEPT_TEXT), at))

        # What a handler prints and logs goes to the log of the attempt that its message is of.
        with AttemptLog(write) as log:
            for index, (attempt_id, entry) in enumerate(entries):
                if type(entry) is MsgTaskProgress:
                    progress[attempt_id] = entry
                elif fold.lifecycle(attempt_id, entry):
                    continue
                elif type(entry) is RunChanged:
                    run = replace(self._run, **asdict(entry))
                elif type(entry) is Commanded:
                    commands.append(entry)
                elif type(entry) is CodeChanged:
                    self._handlers.leave_code(entry.left)
                else:
                    handled = attempt_id
                    rejection = skipped.get(index) or store(index, attempt_id, entry, fold)
                    log.close()
                    if rejection is not None:
                        rejected.setdefault(attempt_id, rejection)
                    if type(entry) is Whole:
                        fold.lifecycle(attempt_id, entry.end)
        return run

    def _committed(
        self,
        messages: int,
        inserts: list[AttemptRow],
        updates: list[AttemptRow],
        stored: dict[int, AttemptRow],
        fold: Fold,
        run: RunRow | None,
        rejected: dict[int, Rejection],
        took_s: float,
    ) -> CommitBatch:
        """Make the committed changes the new state, and describe them."""
        rows = inserts + ([stored.get(update.id, update) for update in updates] if stored else updates)
        self._open_attempts.keep(rows)
        for row in rows if self._log_counts else ():
            if row.status in FINAL:
                self._log_counts.pop(row.id, None)
        fresh = rejected.keys() - self._rejections.keys()
        self._rejections = {key: value for key, value in rejected.items() if key in self._open_attempts}
        for attempt_id in fresh:
            self._on_rejected(attempt_id, rejected[attempt_id])
        if run is None and self._seq == 0:
            run = self._run  # no sink has seen the run yet
        self._run = run or self._run
        self._seq += 1
        self._last_beat = self._clock.monotonic()
        return CommitBatch(
            self._seq, tuple(rows), run, messages, took_s, len(self._inbox), self._file.identity.log_bytes,
            tuple(fold.found.values()), {task_id: state for task_id, (state, _) in fold.states.items()},
        )  # fmt: skip

    def _fail(self, error: BaseException) -> None:
        _log.critical("The writer has stopped: %s", clean(error), exc_info=not issubclass(type(error), StoreError))
        self.unsaved += self._inbox.fail(error)
        self._sinks.writer_failed(error)
