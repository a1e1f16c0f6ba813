"""The terminal served on the event loop: a real one, whose other end is read when the test says so."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator

import pytest
from textual.app import App
from textual.events import Key
from textual.message import Message

from pipeloom.tui.textual_compat.loop_driver import LoopDriver
from pipeloom.tui.textual_compat.reopen import reopen_terminal

PATIENCE_S = 20.0
SIGNALS = (signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH, signal.SIGTTOU, signal.SIGTTIN)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(int(PATIENCE_S / 0.005)):
        if condition():
            return
        await asyncio.sleep(0.005)
    pytest.fail("it did not come to that")


class Ear(App[None]):
    """Takes the keys that the driver reads, and does nothing with them."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[str] = []

    def post_message(self, message: Message) -> bool:
        if isinstance(message, Key):
            self.keys.append(message.key)
        return True

    async def wait_for(self, *keys: str) -> None:
        await until(lambda: self.keys == list(keys))


@contextlib.contextmanager
def driving(app: Ear) -> Iterator[LoopDriver]:
    driver = LoopDriver(app)
    driver.start_application_mode()
    yield driver
    driver.stop_application_mode()
    driver.close()


class Far:
    """The other end of the terminal that is this program's for the time of a test."""

    def __init__(self) -> None:
        self.fileno, self.near = os.openpty()
        tty.setraw(self.near, termios.TCSANOW)
        self.data = b""
        self._changed = threading.Condition()

    def type(self, data: bytes) -> None:
        os.write(self.fileno, data)

    def read(self) -> None:
        """Begin to read, in a thread."""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self.fileno, 4096):
                with self._changed:
                    self.data += data
                    self._changed.notify_all()

    def wait_for(self, end: bytes) -> bytes:
        with self._changed:
            assert self._changed.wait_for(lambda: self.data.endswith(end), PATIENCE_S)
            return self.data

    def hang_up(self) -> None:
        os.close(self.fileno)
        self.fileno = -1


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Iterator[Far]:
    made = Far()
    streams = {name: os.fdopen(os.dup(made.near), mode) for name, mode in (("__stdin__", "r"), ("__stderr__", "w"))}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield made
    for number, handler in before.items():
        signal.signal(number, handler)
    for stream in streams.values():
        stream.close()
    os.close(made.near)
    if made.fileno >= 0:
        made.hang_up()


async def test_keys_are_read_whole_and_an_escape_that_nothing_follows_is_a_key(far: Far) -> None:
    far.read()
    app = Ear()
    driver = LoopDriver(app)
    driver.start_application_mode()
    far.type("jé".encode()[:2])
    await app.wait_for("j")
    far.type("é".encode()[1:] + b"\x1b[A")
    await app.wait_for("j", "é", "up")
    far.type(b"\x1b")
    await app.wait_for("j", "é", "up", "escape")
    driver.stop_application_mode()
    driver.start_application_mode()
    far.type(b"k")
    await app.wait_for("j", "é", "up", "escape", "k")
    driver.stop_application_mode()
    driver.close()


async def test_a_terminal_that_has_hung_up_is_listened_to_no_more_and_takes_everything(far: Far) -> None:
    driver = LoopDriver(Ear())
    driver.start_application_mode()
    assert driver._tty is not None
    far.hang_up()
    known = asyncio.get_running_loop()._selector.get_map()  # type: ignore[attr-defined]
    await until(lambda: driver._tty not in known)
    driver.write("nobody sees this")
    driver.flush()
    driver.stop_application_mode()
    driver.close()


async def test_a_key_that_somebody_else_has_read_is_no_hang_up(far: Far) -> None:
    thief, stolen = reopen_terminal(far.near), bytearray()
    assert thief is not None
    loop = asyncio.get_running_loop()
    loop.add_reader(thief, lambda: stolen.extend(os.read(thief, 100)))  # before the driver's, so it is called before
    app = Ear()
    with driving(app):
        far.type(b"a")
        select.select([thief], [], [], PATIENCE_S)  # so that the loop finds both ready at once
        await until(lambda: bytes(stolen) == b"a")
        loop.remove_reader(thief)
        os.close(thief)
        far.type(b"b")
        await app.wait_for("b")


async def test_a_signal_waits_for_its_turn_on_the_loop(far: Far) -> None:
    far.read()
    app = Ear()
    with driving(app) as driver:
        driver.flush()
        driver.write("first")
        signal.raise_signal(signal.SIGCONT)
        assert driver._texts == ["first"]
        driver.write("second")
        await until(lambda: b"firstsecond" in far.data)
        far.type(b"k")
        await app.wait_for("k")


async def test_a_slow_terminal_gets_everything_in_order_and_holds_up_nobody(far: Far) -> None:
    driver = LoopDriver(Ear())
    driver.start_application_mode()
    lines = [f"{number:05}é" for number in range(20_000)]
    for line in lines:
        driver.write(line)
    driver.flush()  # more than a terminal takes that nobody reads, and less than what is waited for
    far.read()
    await until(lambda: not driver._unsent)
    driver.write("and the end")
    driver.close()
    assert "".join([*lines, "and the end"]).encode() in await asyncio.to_thread(far.wait_for, b"and the end")


async def test_one_that_is_far_behind_is_waited_for(far: Far) -> None:
    driver = LoopDriver(Ear())
    driver.start_application_mode()
    threading.Timer(0.05, far.read).start()
    driver.write("x" * 1_000_000)
    driver.flush()
    assert len(driver._unsent) < 300_000
    driver.write("end")
    driver.close()
    assert far.wait_for(b"end").count(b"x") == 1_000_000


def test_only_what_is_one_terminal_is_reopen_terminal(far: Far) -> None:
    other, its_near = os.openpty()
    pipe = os.pipe()
    try:
        assert reopen_terminal(far.near, its_near) is None
        assert reopen_terminal(pipe[0]) is None
        made = reopen_terminal(far.near, far.near)
        assert made is not None
        assert not os.get_blocking(made)
        assert os.get_blocking(far.near), "the others that use it are not to notice"
        os.close(made)
    finally:
        for descriptor in (other, its_near, *pipe):
            os.close(descriptor)
