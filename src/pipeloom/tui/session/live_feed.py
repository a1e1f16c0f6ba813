"""What was committed, on its way from the mailbox to the board and to the screens."""

from __future__ import annotations

import ctypes
import gc
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Final

from textual import on
from textual.app import App
from textual.events import Event, Key
from textual.signal import Signal
from textual.timer import Timer

from pipeloom.status import Status
from pipeloom.store.rows import RunRow
from pipeloom.text import clean
from pipeloom.tui.live.board import Board
from pipeloom.tui.live.screen import LiveScreen
from pipeloom.tui.session.bridge import Committed, Delivery, UiSink, WriterFailed, WriterWaiting
from pipeloom.tui.session.refresh_pacing import NEXT_KEY_S, RefreshPacing
from pipeloom.tui.style import format as fmt
from pipeloom.tui.table.virtual_table import VirtualTable

_MANY: Final = 2_000
_LONG_RUN_S: Final = 30.0


@cache
def _trim() -> Callable[[int], object]:
    """Return what gives free memory back to the system, leaving so many bytes; only glibc has it."""
    trim: Callable[[int], object] = getattr(ctypes.CDLL(None), "malloc_trim", lambda _left: None)
    return trim


class Showing(App[None]):
    """Keeps the board of one run up to date, whoever runs it."""

    def __init__(
        self, *, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self.clock = clock
        self.monotonic = monotonic
        self.board = Board()
        self.sink = UiSink(self.post_message)
        self.commits: Signal[Delivery] = Signal(self, "commits")
        self.pace = RefreshPacing()
        self._fetching: Timer | None = None
        """Runs until what was committed is fetched, if that is to wait."""
        self.key_pressed_s = float("-inf")
        """When the last key was pressed, in monotonic seconds."""
        self.failure: BaseException | None = None
        self.signalled: int | None = None
        """The signal that ended the program, if one did."""
        self.left = threading.Event()
        """Set when the screen is gone."""
        self.is_viewer = False
        """Whether the live screen shows, or may come to show, what another process runs."""
        self._is_leaving = False
        self._trouble = ""
        """What stands in the way of the writer."""
        self._wal_bytes = 0
        self._frozen = 0
        """Tasks that there were when the garbage collector was last told to leave everything alone."""

    def tell(self, sentence: str, *, problem: bool = False) -> None:
        """Show a toast."""
        self.notify(clean(sentence), markup=False, severity="warning" if problem else "information")

    async def on_event(self, event: Event) -> None:
        """Note when keys are pressed; those for a table are carried out here, at once.

        A table knows its keys by bindings alone. By way of the table and all that it is in, a key would come to them
        after the next one had been given away: of `/` and a word typed quickly, the word would be lost.
        """
        if isinstance(event, Key):
            self.key_pressed_s = self.monotonic()
            self._fetch_after_key()
            if not event.is_forwarded and await self._is_done_by_table(event.key):
                return
        await super().on_event(event)

    async def _is_done_by_table(self, key: str) -> bool:
        if not isinstance(self.focused, VirtualTable) or self.screen.maximized is not None:
            return False
        return await self._check_bindings(key, priority=True) or await self._check_bindings(key)

    @on(Committed)
    def _fetch_soon(self) -> None:
        """Fetch what was committed, but not more often than the eye can follow, nor so often that keys have to wait."""
        now = self.monotonic()
        wait = self.pace.wait_s(now, self.key_pressed_s)
        if wait <= 0:
            self.fetch()
            return
        if self.pace.fits_between_keys(now, self.key_pressed_s):
            wait += NEXT_KEY_S  # see `_fetch_after_key`
        self._fetching = self.set_timer(wait, self.fetch)

    def _fetch_after_key(self) -> None:
        """Fetch what is due once the key that was pressed has been painted: the next one is never further away."""
        now = self.key_pressed_s
        if self._fetching is not None and self.pace.wait_s(now, now) <= 0 and self.pace.fits_between_keys(now, now):
            self.call_after_refresh(self._fetch_if_due)

    def _fetch_if_due(self) -> None:
        if self._fetching is not None:
            self.fetch()

    def fetch(self) -> None:
        """Bring the board up to date and tell the screens."""
        if self._fetching is not None:
            self._fetching.stop()
            self._fetching = None
        began = self.pace.began_s = self.monotonic()
        delivery = self.sink.mailbox.drain()
        self._wal_bytes = delivery.wal_bytes
        before = self.board.run
        self.board.apply(delivery.attempts, delivery.run, began)
        seen_running = before is not None or not self.is_viewer
        if delivery.run is not None and delivery.run.finished_at is not None and seen_running and not self._is_leaving:
            self._announce_end(delivery.run)
        self.commits.publish(delivery)
        self._settle_memory()
        self.call_after_refresh(self._note_cost, began)

    def _settle_memory(self) -> None:
        """Take the tasks, which stay, out of the garbage collector's sight: looking at all of them takes too long.

        What their tables have outgrown is given back: the C library would keep a tenth of it all for later.
        """
        if self.board.total() - self._frozen >= _MANY:
            self._frozen = self.board.total()
            gc.freeze()
            _trim()(0)

    def _note_cost(self, began: float) -> None:
        """Learn how long it took from the fetch to the end of the paint, with all that came between."""
        self.pace.note_cost(self.monotonic() - began)

    def _announce_end(self, run: RunRow) -> None:
        """Ring the bell and ask the terminal for a notice (OSC 9): nobody watches a long run to its end."""
        took = fmt.seconds_since(run.started_at, self.clock())
        if took is None or took < _LONG_RUN_S or self.signalled is not None:
            return
        counts = ", ".join(f"{count:,} {status}" for status in Status if (count := self.board.counts[status]))
        self.bell()
        if self._driver is not None:
            self._driver.write(f"\x1b]9;pipeloom: run {run.id} is over: {counts}\x1b\\")

    @on(WriterWaiting)
    def _show_waiting(self, event: WriterWaiting) -> None:
        self._trouble = "" if event.reason is None else f"waiting for the file: {event.reason}"
        self.fetch()

    @on(WriterFailed)
    def _show_failure(self, event: WriterFailed) -> None:
        self.failure = event.error
        self._trouble = f"nothing more can be saved: {event.error}"
        self.fetch()

    async def _show_run(self, sink: UiSink) -> None:
        """Let the live screen show another run, whose commits arrive in `sink`."""
        self.board, self.sink, self._trouble = Board(), sink, ""
        shown = self.current_mode == "live"
        if shown:
            self.switch_mode("history")
        await self.remove_mode("live")
        self.add_mode("live", LiveScreen)
        if shown:
            self.switch_mode("live")
