"""What was committed, on its way from the mailbox to the board and to the screens."""

from __future__ import annotations

import asyncio
import ctypes
import gc
from collections.abc import Callable
from functools import cache
from typing import Any, Final, Protocol

from textual.message import Message
from textual.signal import Signal

from pipeloom.engine.capture import capture
from pipeloom.status import Status
from pipeloom.store.rows import RunRow
from pipeloom.tui.live.board import Board
from pipeloom.tui.session.bridge import Delivery, UiSink
from pipeloom.tui.session.refresh_pacing import LONGEST_WAIT_S, NEXT_KEY_S, RefreshPacing
from pipeloom.tui.textual_compat.one_shot import call_in

_MANY: Final = 2_000
"""New tasks between two calls of `gc.freeze`."""
_LATE_S: Final = 1.0
"""Seconds after which what was committed is fetched in any case."""
_LONG_RUN_S: Final = 30.0
"""Duration from which the end of a run is announced, in seconds."""


class FeedHost(Protocol):
    """What the feed uses of the app."""

    clock: Callable[[], float]
    monotonic: Callable[[], float]

    @property
    def is_leaving(self) -> bool:
        """Whether the program is about to end."""

    def post_message(self, message: Message) -> bool:
        """Send a message to the app; from any thread."""

    def call_later(self, callback: Callable[..., Any]) -> bool:
        """Call `callback` once the messages before it are handled."""

    def call_after_refresh(self, callback: Callable[..., None], *args: Any) -> bool:
        """Call `callback` after the next paint."""

    def bell(self) -> None:
        """Ring the terminal's bell."""

    def write_terminal(self, sequence: str) -> None:
        """Write a control sequence to the terminal."""


class LiveFeed:
    """Keeps the board of one run up to date, of this process or another, and tells the screens."""

    def __init__(self, host: FeedHost, commits: Signal[Delivery], seconds: Signal[None]) -> None:
        """Publish each delivery in `commits` when the board has it, and in `seconds` that one has passed."""
        self._host = host
        self._commits, self._seconds = commits, seconds
        self.board = Board()
        self.sink = UiSink(host.post_message)
        self.pace = RefreshPacing()
        self.key_pressed_s = float("-inf")
        """When the last key was pressed, in monotonic seconds."""
        self.is_viewer = False
        """Whether the run that is shown, or will be, belongs to another process."""
        self.trouble = ""
        """What stands in the way of the writer."""
        self.failure: BaseException | None = None
        """Why the writer has given up."""
        self.wal_bytes = 0
        """Size of the write-ahead log at the last commit."""
        self._due: asyncio.TimerHandle | None = None
        """A fetch that waits for its time."""
        self._frozen = 0
        """Tasks on the board at the last `gc.freeze`."""

    def show_run(self, sink: UiSink) -> None:
        """Show another run from now on, whose commits arrive in `sink`."""
        self.board, self.sink, self.trouble = Board(), sink, ""

    # -- when to fetch -------------------------------------------------------------------------------------------------

    def note_key(self) -> None:
        """Note that a key was pressed; once its effect is painted, fetch what is due: the next key is furthest then."""
        now = self.key_pressed_s = self._host.monotonic()
        if self._due is not None and self.pace.wait_s(now, now) <= 0 and self.pace.fits_between_keys(now, now):
            self._host.call_after_refresh(self._fetch_if_due)

    def fetch_soon(self) -> None:
        """Fetch what was committed, no more often than the eye can follow or than lets keys through at once."""
        now = self._host.monotonic()
        wait_s = self.pace.wait_s(now, self.key_pressed_s)
        if wait_s <= 0:
            self.fetch()
            return
        if self.pace.fits_between_keys(now, self.key_pressed_s):
            wait_s += NEXT_KEY_S  # see `note_key`
        self._put_off(min(wait_s, LONGEST_WAIT_S))

    def pass_second(self) -> None:
        """Tell the screens that a second has passed, and that tasks have left what a screen needs.

        What has waited too long, whatever the reason, is fetched.
        """
        capture.check()
        if self.sink.mailbox.is_waiting and self._host.monotonic() - self.pace.began_s > _LATE_S:
            self.fetch()
        self._seconds.publish(None)

    def _put_off(self, wait_s: float) -> None:
        self._take_back()
        self._due = call_in(self._host, wait_s, self._fetch_if_due)

    def _take_back(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _fetch_if_due(self) -> None:
        if self._due is not None:
            self.fetch()

    # -- fetching ------------------------------------------------------------------------------------------------------

    def fetch(self) -> None:
        """Bring the board up to date and tell the screens."""
        self._take_back()
        began_s = self.pace.began_s = self._host.monotonic()
        delivery = self.sink.mailbox.drain()
        self.wal_bytes = delivery.wal_bytes
        before = self.board.run
        self.board.apply(delivery.attempts, delivery.run, began_s)
        seen_running = before is not None or not self.is_viewer
        if delivery.run is not None and delivery.run.finished_at is not None and seen_running:
            self._announce_end(delivery.run)
        self._commits.publish(delivery)
        self._settle_memory()
        self._host.call_after_refresh(self._note_cost, began_s)

    def _note_cost(self, began_s: float) -> None:
        """Learn the time from the fetch to the end of the paint, with all that came between."""
        self.pace.note_cost(self._host.monotonic() - began_s)

    def _settle_memory(self) -> None:
        """Take the tasks, which stay, out of the garbage collector's sight: looking at all of them takes too long.

        What their tables have outgrown is given back: the C library would keep a tenth of all memory for later.
        """
        if self.board.total() - self._frozen >= _MANY:
            self._frozen = self.board.total()
            gc.freeze()
            _trim()(0)

    def _announce_end(self, run: RunRow) -> None:
        """Ring the bell and ask the terminal for a notice (OSC 9): few users watch a long run to its end."""
        took_s = run.took_s(self._host.clock())
        if self._host.is_leaving or took_s is None or took_s < _LONG_RUN_S:
            return
        counts = ", ".join(f"{count:,} {status}" for status in Status if (count := self.board.counts[status]))
        self._host.bell()
        self._host.write_terminal(f"\x1b]9;pipeloom: run {run.id} is over: {counts}\x1b\\")

    # -- the writer ----------------------------------------------------------------------------------------------------

    def show_waiting(self, reason: str | None) -> None:
        """Say that the writer cannot commit now, for `reason`; None: it can again."""
        self.trouble = "" if reason is None else f"waiting for the file: {reason}"
        self.fetch()

    def show_failure(self, error: BaseException) -> None:
        """Say that the writer has given up."""
        self.failure = error
        self.trouble = f"nothing more can be saved: {error}"
        self.fetch()


@cache
def _trim() -> Callable[[int], object]:
    """Return the function that gives free memory back to the system, all but so many bytes; only glibc has it."""
    trim: Callable[[int], object] = getattr(ctypes.CDLL(None), "malloc_trim", lambda _left: None)
    return trim
