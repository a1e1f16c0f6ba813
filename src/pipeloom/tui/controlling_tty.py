"""The controlling terminal, given up so that tasks and their children cannot open it as /dev/tty.

A task that asks for a password there would take the cockpit's keys and draw on its screen. The cockpit has the terminal
on descriptors of its own; the kernel goes on sending its signals (SIGWINCH, SIGHUP, ctrl+c) to the process group.
"""

from __future__ import annotations

import fcntl
import os
import sys
import termios
from contextlib import suppress
from pathlib import Path
from typing import Final

_TTY: Final = "/dev/tty"
_FOREGROUND: Final = 5
"""Place of the foreground process group among the fields of /proc/PID/stat that follow the name."""


def give_up(descriptor: int) -> bool:
    """Give up the controlling terminal `descriptor`; False where that is not possible.

    The leader of a session cannot: the terminal would belong to nothing, and would tell of no change of its size.
    Neither can a program in the background, which the kernel has to keep from the terminal.
    """
    if sys.platform != "linux" or os.getsid(0) == os.getpid():
        return False
    with suppress(OSError):
        if os.tcgetpgrp(descriptor) == os.getpgrp():
            fcntl.ioctl(descriptor, termios.TIOCNOTTY)
            return True
    return False


def has_reader() -> bool:
    """Tell whether this process, or a child of it, has opened the controlling terminal, which it could not give up."""
    children = [child for listed in Path("/proc/self/task").glob("*/children") for child in _words(listed)]
    return any(_has_open_tty(Path(f"/proc/{process}/fd")) for process in ("self", *children))


def _words(path: Path) -> list[str]:
    with suppress(OSError):  # the thread has ended
        return path.read_text(encoding="ascii").split()
    return []


def _has_open_tty(folder: Path) -> bool:
    with suppress(OSError):  # the process has ended, or a descriptor was closed meanwhile
        return any(str(entry.readlink()) == _TTY for entry in folder.iterdir())
    return False


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
