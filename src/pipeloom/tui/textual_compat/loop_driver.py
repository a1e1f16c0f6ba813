"""Read the keyboard and write the screen on the event loop.

Textual reads in one thread and writes in another. At each hand-over a thread waits for the interpreter, behind every
thread that computes: a key would wait four times before it is handled, and once more when its effect is drawn.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

from textual import constants
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.events import Key
from textual.message import Message

from pipeloom.tui.controlling_tty import is_in_background, is_leader
from pipeloom.tui.textual_compat.reopen import reopen_terminal
from pipeloom.tui.textual_compat.terminal_input import ESCAPE, TerminalInput

_READ_BYTES: Final = 1 << 16
_MAX_UNSENT_BYTES: Final = 1 << 18
"""Bytes that may wait for a slow terminal before the program waits for it."""
_ESCAPE_S: Final = constants.ESCAPE_DELAY + 0.01
"""Seconds after which an escape that nothing follows is a key."""


_LOOK_S: Final = 0.2
"""Seconds between looks at the size of a terminal of which the kernel tells nothing."""
_REST_LOOK_S: Final = 0.5
"""The same where nothing was typed or painted for `_REST_S` seconds."""
_REST_S: Final = 5.0


class TerminalNote(Message):
    """Something that the user of the terminal has to know."""

    def __init__(self, sentence: str) -> None:
        super().__init__()
        self.sentence = sentence


class LoopDriver(LinuxDriver):
    """Textual's driver with idle threads, where standard input and standard error are one terminal.

    Elsewhere it is Textual's own. It also goes on after a stop that did not come from ctrl+z (SIGSTOP). Everything runs
    on the thread of the loop, handlers of signals included: none may run in the middle of a read or a write.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._tty = None if self._file is None else reopen_terminal(self.fileno, self._file.fileno())
        """Open until the program ends: the screen may be suspended and resumed."""
        self._texts: list[str] = []
        self._unsent = bytearray()
        self._escape_due: asyncio.TimerHandle | None = None
        self._look_due: asyncio.TimerHandle | None = None
        self._used_s = 0.0
        """When something was last typed or painted, by the clock of the loop."""
        self._is_due = False
        """Whether a call of `flush` is scheduled."""

    def start_application_mode(self) -> None:
        """Take the terminal, and start to read the keyboard."""
        before = self._key_thread
        super().start_application_mode()  # type: ignore[no-untyped-call]
        has_started = self._key_thread is not before  # false in the background (SIGTTOU)
        if self._tty is not None and has_started:
            decode = getincrementaldecoder("utf-8")(errors="replace").decode
            self._loop.add_reader(self._tty, self._read, self._tty, decode, TerminalInput(), XTermParser(self._debug))
            if is_leader():
                self._look_at_size(self._get_terminal_size())

    def _look_at_size(self, seen: tuple[int, int]) -> None:
        """Tell of a new size."""
        size = self._get_terminal_size()
        if size != seen:
            signal.raise_signal(signal.SIGWINCH)
        is_at_rest = self._loop.time() - self._used_s > _REST_S
        self._look_due = self._loop.call_later(_REST_LOOK_S if is_at_rest else _LOOK_S, self._look_at_size, size)

    def _get_terminal_size(self) -> tuple[int, int]:
        """Return the size of the terminal, where it tells one, and not what a shell has exported as `COLUMNS`."""
        if self._file is not None:
            with suppress(OSError, ValueError):
                size = os.get_terminal_size(self._file.fileno())
                if size.columns and size.lines:
                    return size
        return super()._get_terminal_size()

    def _run_input_thread(self) -> None:
        """Return at once: the loop reads. Textual runs this in the thread of the keyboard."""
        if self._tty is None:
            super()._run_input_thread()

    def disable_input(self) -> None:
        """Stop reading the keyboard."""
        if self._tty is not None:
            self._loop.remove_reader(self._tty)
        if self._look_due is not None:
            self._look_due.cancel()
        super().disable_input()

    def close(self) -> None:
        """Write everything that is left, and wait for the terminal without a limit."""
        if self._tty is not None:
            self.flush()
            self._drain(0)
        super().close()

    def write(self, data: str) -> None:
        """Write when `flush` is called, or after this step of the loop."""
        if self._tty is None:
            super().write(data)
            return
        self._texts.append(data)
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write as much as the terminal takes now."""
        self._is_due = False
        if self._tty is None:
            return
        if self._texts:
            self._used_s = self._loop.time()
        self._unsent += "".join(self._texts).encode("utf-8", "replace")
        self._texts.clear()
        if not self._send(self._tty):
            self._drain(_MAX_UNSENT_BYTES)
            self._loop.add_writer(self._tty, self._catch_up, self._tty)

    def drop_output(self) -> None:
        """Let nothing more reach the terminal; from any thread."""
        if self._tty is not None:
            nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            os.dup2(nowhere, self._tty, inheritable=False)
            os.close(nowhere)

    def send_message(self, message: Message) -> None:
        """Post a message to the app."""
        if self._tty is None:
            super().send_message(message)
        else:
            self._app.post_message(message)

    def _read(self, tty: int, decode: Callable[[bytes], str], typed: TerminalInput, parser: XTermParser) -> None:
        """Read what was typed; a terminal that has hung up is not read again."""
        try:
            data = os.read(tty, _READ_BYTES)
        except BlockingIOError:
            self._tell(f"Keys are lost: a task reads this terminal. `kill {os.getpid()}` stops the run.")
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(tty)
        elif text := decode(data):
            self._used_s = self._loop.time()
            for part in typed.feed(text):
                self._process([Key("escape", ESCAPE)] if part == ESCAPE else parser.feed(part))
            if self._escape_due is not None:
                self._escape_due.cancel()
            self._escape_due = self._loop.call_later(_ESCAPE_S, self._end_escape, typed, parser)

    def _end_escape(self, typed: TerminalInput, parser: XTermParser) -> None:
        """Take an escape that nothing has followed for a key."""
        if typed.give_up_escape():
            self._process([Key("escape", ESCAPE)])
        self._process(parser.tick())

    def _process(self, messages: Iterable[Message]) -> None:
        try:
            for message in messages:
                self.process_message(message)
        except Exception as error:  # noqa: BLE001 - asyncio would log it and go on
            self._app._handle_exception(error)

    def _send(self, tty: int) -> bool:
        """Write what the terminal takes now, all if it is gone; return whether nothing is left."""
        try:
            while self._unsent:
                del self._unsent[: os.write(tty, self._unsent)]
        except BlockingIOError:
            return False
        except OSError:
            self._unsent.clear()
        return True

    def _catch_up(self, tty: int) -> None:
        if self._send(tty):
            self._loop.remove_writer(tty)

    def _drain(self, max_bytes: int) -> None:
        """Wait until at most `max_bytes` are left to write."""
        while self._tty is not None and len(self._unsent) > max_bytes and not self._send(self._tty):
            select.select([], [self._tty], [])

    def _sigtstp_application(self, *_: object) -> None:
        if is_leader():
            self._on_loop(lambda: self._tell("There is no shell to go to: this program has the terminal alone."))
        else:
            self._on_loop(super()._sigtstp_application)

    def _sigcont_application(self, *_: object) -> None:
        self._on_loop(self._go_on)

    def _tell(self, sentence: str) -> None:
        self._app.post_message(TerminalNote(sentence))

    def _on_loop(self, step: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop is closed, and so is the screen
            self._loop.call_soon_threadsafe(step)

    def _go_on(self) -> None:
        if is_in_background():  # by `bg` of the shell: the terminal is not ours
            os.kill(os.getpid(), signal.SIGSTOP)
            return
        # Textual would start a second reader of the keyboard beside the first.
        if self._auto_restart:
            if not self._must_signal_resume:
                self.suspend_application_mode()
            self.resume_application_mode()
