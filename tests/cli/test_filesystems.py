"""File systems that lack what a database needs: locks, or memory that several programs share.

A library that is loaded first refuses the call, as the kernel does there.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest
from tests.cli.conftest import command

pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None or not Path("/proc/self/fd").exists(), reason="a C compiler makes the library"
)
NO_FLOCK = """
#include <errno.h>
#include <stdlib.h>
int flock(int descriptor, int operation) { errno = atoi(getenv("REFUSED_WITH")); return -1; }
"""
NO_SHARED_MEMORY = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
typedef void *(*Map)(void *, size_t, int, int, int, long);
void *mmap(void *at, size_t size, int rights, int flags, int descriptor, long offset) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = descriptor < 0 ? 0 : readlink(link, path, sizeof path);
    if (length > 4 && !memcmp(path + length - 4, "-shm", 4)) { errno = atoi(getenv("REFUSED_WITH")); return MAP_FAILED; }
    return ((Map) dlsym(RTLD_NEXT, "mmap"))(at, size, rights, flags, descriptor, offset);
}
void *mmap64(void *at, size_t size, int rights, int flags, int descriptor, long offset) {
    return mmap(at, size, rights, flags, descriptor, offset);
}
"""


def refusing(folder: Path, source: str, number: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `pipeloom` where calls of the library's functions fail with an error number."""
    library = folder / "refusing.so"
    (folder / "refusing.c").write_text(source, encoding="utf-8")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, folder / "refusing.c", "-ldl"], check=True)
    return subprocess.run(
        command("pipeloom", *arguments),
        cwd=folder,
        env={**os.environ, "HOME": str(folder), "LD_PRELOAD": str(library), "REFUSED_WITH": str(number)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def plain(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("pipeloom", *arguments), cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP], ids=errno.errorcode.get)
def test_without_locks_no_run_starts_and_the_sentence_says_what_to_do(folder: Path, number: int) -> None:
    done = refusing(folder, NO_FLOCK, number, "run", "etl.db", "one.py")
    assert done.returncode == 2
    assert done.stderr == (
        f"pipeloom: The file system of {folder / 'etl.db'} takes no locks ({os.strerror(number)}), and one process alone "
        "may write to a file: choose a folder on a local disk.\n"
    )
    assert not (folder / "etl.db").exists()
    assert plain(folder, "run", "etl.db", "one.py").returncode == 0
    seen = refusing(folder, NO_FLOCK, number, "status", "etl.db")
    assert (seen.returncode, "3 done" in seen.stdout) == (0, True)


def test_without_locks_a_run_that_is_open_is_in_use_by_no_process(folder: Path) -> None:
    assert plain(folder, "run", "etl.db", "one.py").returncode == 0
    connection = sqlite3.connect(folder / "etl.db")
    with connection:
        connection.execute("UPDATE pipeline_runs SET status = 'running'")
    connection.close()
    assert "in use" not in refusing(folder, NO_FLOCK, errno.ENOLCK, "status", "etl.db").stdout


@pytest.mark.parametrize("number", [errno.ENODEV, errno.EACCES], ids=errno.errorcode.get)
def test_without_shared_memory_a_run_does_without_a_write_ahead_log(folder: Path, number: int) -> None:
    done = refusing(folder, NO_SHARED_MEMORY, number, "run", "etl.db", "one.py")
    assert (done.returncode, "3 done" in done.stderr) == (0, True), done.stderr
    assert "cannot be shared" in done.stderr
    assert not (folder / "etl.db-wal").exists()
    seen = refusing(folder, NO_SHARED_MEMORY, number, "status", "etl.db")
    assert (seen.returncode, "3 done" in seen.stdout) == (0, True)
    assert plain(folder, "run", "etl.db", "one.py").returncode == 0


def test_a_file_with_a_log_is_written_without_shared_memory_and_not_read(folder: Path) -> None:
    assert plain(folder, "run", "etl.db", "one.py").returncode == 0
    seen = refusing(folder, NO_SHARED_MEMORY, errno.ENODEV, "status", "etl.db")
    assert (seen.returncode, "copy it and its -wal to a local disk" in seen.stderr) == (2, True), seen.stderr
    done = refusing(folder, NO_SHARED_MEMORY, errno.ENODEV, "run", "etl.db", "one.py")
    assert (done.returncode, "3 done" in done.stderr) == (0, True), done.stderr
    seen = refusing(folder, NO_SHARED_MEMORY, errno.ENODEV, "status", "etl.db")
    assert (seen.returncode, "3 done" in seen.stdout) == (0, True)
