"""The controlling terminal, given up so that tasks and their children cannot open it as /dev/tty.

A task that asks for a password there would take the cockpit's keys and draw on its screen. The cockpit has the terminal
on descriptors of its own; the kernel goes on sending its signals (SIGWINCH, SIGHUP, ctrl+c) to the process group. Where
the cockpit leads its session (`docker run -it`) the kernel sends none: it looks at the terminal itself.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import termios
from contextlib import suppress
from pathlib import Path
from typing import Final

_FOREGROUND: Final = 5
"""Place of the foreground process group among the fields of /proc/PID/stat that follow the name."""


def give_up(descriptor: int) -> bool:
    """Give up the controlling terminal `descriptor`; False where that is not possible.

    A program in the background cannot: the kernel has to keep it from the terminal.
    """
    if sys.platform != "linux":
        return False
    with suppress(OSError):
        if os.tcgetpgrp(descriptor) == os.getpgrp():
            if is_leader():
                _give_up_for_session(descriptor)
            else:
                fcntl.ioctl(descriptor, termios.TIOCNOTTY)
            return True
    return False


def take_back(descriptor: int) -> None:
    """Take a terminal that the leader of a session has given up; others cannot, and the shell has theirs."""
    if is_leader():
        with suppress(OSError):  # the terminal is gone, or belongs to another session meanwhile
            fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)


def is_leader() -> bool:
    """Tell whether this process leads its session. Without its terminal the kernel tells it of no change of size."""
    return os.getsid(0) == os.getpid()


def _give_up_for_session(descriptor: int) -> None:
    """Give up the terminal for the whole session, as its leader: the kernel sends SIGHUP to the foreground group.

    For the moment that is a group of one process, which is made for it: our own group may have others.
    """
    stand_in = os.posix_spawn(sys.executable, [sys.executable, "-ISc", ""], {}, setpgroup=0)
    try:
        os.tcsetpgrp(descriptor, stand_in)
        fcntl.ioctl(descriptor, termios.TIOCNOTTY)
    finally:
        with suppress(ProcessLookupError, ChildProcessError):  # SIGCHLD is ignored, or handled by the user's code
            os.kill(stand_in, signal.SIGKILL)
            os.waitpid(stand_in, 0)


def is_in_background() -> bool:
    """Tell whether the shell has put this process into the background, after `give_up`.

    The kernel does not tell a process without a controlling terminal; the shell, its parent, still has one.
    """
    try:
        fields = Path(f"/proc/{os.getppid()}/stat").read_bytes().rpartition(b")")[2].split()
        foreground = int(fields[_FOREGROUND])
    except (OSError, ValueError, IndexError):
        return False
    return foreground not in (-1, os.getpgrp())
