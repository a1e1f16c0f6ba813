"""The programs that tasks in threads have started, and that still run: nothing ends them, so they are named."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from pipeloom.text import clean

_SHOWN: Final = 60
"""Characters of a command line that are shown."""
_OURS: Final = "from multiprocessing."
"""In the command lines of Python's helpers, which end by themselves."""

_FLAGS: Final = 6
"""Place of the kernel's flags among the fields of /proc/PID/stat that follow the name."""
_EXITING: Final = 0x4


def of_thread(native_id: int | None) -> list[str]:
    """Return the children that a thread of this process has started, as phrases; empty where it cannot be seen."""
    try:
        listed = Path(f"/proc/self/task/{native_id}/children").read_text(encoding="ascii").split()
        return _phrases(map(int, listed))
    except Exception:  # noqa: BLE001 - a task may have taken `open` or the path of modules away: then none is named
        return []


def of_program() -> list[str]:
    """Return the children of this process, as phrases."""
    try:
        listed = [path.read_text(encoding="ascii") for path in Path("/proc/self/task").glob("*/children")]
        if listed and not any(listed):
            return []
        import psutil

        return _phrases(child.pid for child in psutil.Process().children())
    except Exception:  # noqa: BLE001 - as in `of_thread`
        return []


def _is_ending(pid: int) -> bool:
    """Tell whether a process is about to end: the kernel has taken its memory, and its command with it."""
    with suppress(OSError, ValueError, IndexError):  # there is no such file on other systems
        flags = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[_FLAGS]
        return bool(int(flags) & _EXITING)
    return False


def _phrases(pids: Iterable[int]) -> list[str]:
    import psutil

    phrases = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE or _is_ending(pid):
                continue
            command = " ".join(process.cmdline())  # empty for a moment after its start
        except psutil.Error:
            continue
        if _OURS not in command:
            phrases.append(f"process {pid} ({clean(command, _SHOWN)})" if command else f"process {pid}")
    return phrases
