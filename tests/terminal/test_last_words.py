"""What is written to a terminal that has stopped reading, when the program leaves."""

from __future__ import annotations

import os
import termios
import threading
import tty

from pipeloom.tui.terminal import write_past_blocked


def test_last_words_are_tried_again_until_the_terminal_takes_them() -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    termios.tcflow(slave, termios.TCOOFF)
    writing = threading.Thread(target=write_past_blocked, args=(slave, b"last words"))
    writing.start()
    writing.join(0.1)
    assert writing.is_alive()
    termios.tcflow(slave, termios.TCOON)
    writing.join(20)
    assert os.read(master, 100) == b"last words"
    os.close(slave)
    os.close(master)
