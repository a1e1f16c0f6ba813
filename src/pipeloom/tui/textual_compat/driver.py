"""The keyboard read, and the screen written, on the event loop itself.

Textual reads in one thread and writes in another. Each time the work is handed on, a thread waits for the interpreter,
behind every thread that computes: a key would wait so four times before it is looked at, and once more when its effect
is drawn. The terminal is opened anew for that: a descriptor of our own does not block, and nobody else's changes.
"""

from __future__ import annotations

import os
import select
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

from textual import constants
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

_AT_ONCE: Final = 1 << 16
_MOST_BEHIND: Final = 1 << 18
"""Bytes that may wait for a slow terminal before the program waits for it."""
_ESCAPE_S: Final = constants.ESCAPE_DELAY + 0.01
"""After so long an escape that nothing follows is a key."""


class LoopDriver(LinuxDriver):
    """Textual's driver with its threads left idle, where standard input and standard error are one terminal.

    Elsewhere it is Textual's own. It also goes on after a stop that nobody asked for (SIGSTOP). All of it is for the
    thread of the loop, signals included: a handler that ran in the middle of a read or a write would change it there.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._tty = None if self._file is None else opened_anew(self.fileno, self._file.fileno())
        """Kept until the program ends: the screen may be suspended and resumed."""
        self._decode: Callable[[bytes], str]
        self._parser: XTermParser
        self._texts: list[str] = []
        self._unsent = bytearray()
        self._is_due = False
        """Whether a call of `flush` is on its way."""

    def start_application_mode(self) -> None:
        """Take the terminal, and listen."""
        before = self._key_thread
        super().start_application_mode()  # type: ignore[no-untyped-call]
        has_started = self._key_thread is not before  # in the background (SIGTTOU) it returns without
        if self._tty is not None and has_started:
            self._decode = getincrementaldecoder("utf-8")(errors="replace").decode
            self._parser = XTermParser(self._debug)
            self._loop.add_reader(self._tty, self._read, self._tty)

    def _run_input_thread(self) -> None:
        """Do nothing: the loop listens. Textual runs this in the thread of the keyboard."""
        if self._tty is None:
            super()._run_input_thread()

    def disable_input(self) -> None:
        """Be deaf from now on."""
        if self._tty is not None:
            self._loop.remove_reader(self._tty)
        super().disable_input()

    def close(self) -> None:
        """Write all that was still to be written, however long the terminal takes: who cannot wait ends the program."""
        if self._tty is not None:
            self.flush()
            self._drain(0)
        super().close()

    def write(self, data: str) -> None:
        """Write, when `flush` is called or the step of the loop is over."""
        if self._tty is None:
            super().write(data)
            return
        self._texts.append(data)
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what there is to be written, as far as the terminal takes it."""
        self._is_due = False
        if self._tty is None:
            return
        self._unsent += "".join(self._texts).encode("utf-8", "replace")
        self._texts.clear()
        if not self._send(self._tty):
            self._drain(_MOST_BEHIND)
            self._loop.add_writer(self._tty, self._catch_up, self._tty)

    def send_message(self, message: Message) -> None:
        """Hand a message to the app."""
        if self._tty is None:
            super().send_message(message)
        else:
            self._app.post_message(message)

    def _read(self, tty: int) -> None:
        """Read what was typed; a terminal that has hung up says nothing, at once and for ever."""
        try:
            data = os.read(tty, _AT_ONCE)
        except BlockingIOError:
            return  # another program that reads from the terminal was first
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(tty)
        elif text := self._decode(data):
            self._process(self._parser.feed(text))
            self._loop.call_later(_ESCAPE_S, lambda: self._process(self._parser.tick()))

    def _process(self, messages: Iterable[Message]) -> None:
        try:
            for message in messages:
                self.process_message(message)
        except Exception as error:  # noqa: BLE001 - asyncio would take note of it and go on
            self._app._handle_exception(error)

    def _send(self, tty: int) -> bool:
        """Write what the terminal takes now; returns whether that was all. One that is gone takes everything."""
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

    def _drain(self, most: int) -> None:
        """Wait until no more than `most` bytes are left to be written."""
        while self._tty is not None and len(self._unsent) > most and not self._send(self._tty):
            select.select([], [self._tty], [])

    def _sigtstp_application(self, *_: object) -> None:
        self._on_loop(super()._sigtstp_application)

    def _sigcont_application(self, *_: object) -> None:
        self._on_loop(self._go_on)

    def _on_loop(self, step: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop is closed, and the screen with it
            self._loop.call_soon_threadsafe(step)

    def _go_on(self) -> None:
        # Textual would start a second reader of the keyboard beside the first.
        if self._auto_restart:
            if not self._must_signal_resume:
                self.suspend_application_mode()
            self.resume_application_mode()


def opened_anew(*descriptors: int) -> int | None:
    """Return a descriptor that does not block, of the terminal that all are; None when there is none to be had."""
    try:
        (name,) = {os.ttyname(descriptor) for descriptor in descriptors}
        return os.open(name, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
