"""What worker processes need of the system, told before the run: a folder for sockets, and descriptors."""

from __future__ import annotations

import errno
import multiprocessing.util
import os
import resource
import tempfile
from multiprocessing import forkserver
from typing import Final

from pipeloom.errors import UsageError

_LONGEST: Final = 70
"""Bytes of the folder: the path of a socket in it may have 104 on macOS, and 108 on Linux."""
_SHORT: Final = "/tmp"  # noqa: S108 - Python makes a private folder in it
_OF_PROGRAM: Final = 24
"""Descriptors of the program itself, and of what starts the processes."""
_OF_WORKER: Final = 4


def prepare_processes(workers: int) -> None:
    """Get ready to start worker processes; raises `UsageError` when none could be."""
    _allow_descriptors(_OF_PROGRAM + _OF_WORKER * workers)
    try:
        _choose_folder()
        if "forkserver" in multiprocessing.get_all_start_methods():
            forkserver.ensure_running()
    except OSError as error:
        why = "raise the limit of processes (ulimit -u)" if error.errno == errno.EAGAIN else "mend that"
        said = error.strerror or str(error)
        raise UsageError(f"No worker process can be started: {said}: {why}, or use threads.") from error


def _choose_folder() -> None:
    """Let multiprocessing have its sockets in a folder with a short path, once for the life of the program."""
    usual = tempfile.gettempdir()
    if len(os.fsencode(usual)) <= _LONGEST:
        multiprocessing.util.get_temp_dir()
        return
    before, tempfile.tempdir = tempfile.tempdir, _SHORT
    try:
        multiprocessing.util.get_temp_dir()
    except OSError as error:
        raise UsageError(
            f"TMPDIR has {len(os.fsencode(usual))} bytes, and a socket in it would have too long a path: "
            f"set a shorter one, of at most {_LONGEST}."
        ) from error
    finally:
        tempfile.tempdir = before


def _allow_descriptors(needed: int) -> None:
    """Raise the limit of open files as far as it goes, if it is low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise UsageError(
            f"Worker processes need {needed} open files, and the limit is {hard}: raise it (ulimit -n), use fewer "
            "workers, or threads."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
