"""The file that an export is written to: private, complete or absent, and never a part of the database."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from pipeloom.errors import StoreError, UsageError
from pipeloom.store.file.neighbours import check_apart


@contextmanager
def new_file(path: Path, db_path: Path, *, overwrite: bool) -> Iterator[TextIO]:
    """Open a file that only its user may read, and that appears at `path` once it is complete."""
    check_target(path, db_path, overwrite=overwrite)
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:50]}.", dir=path.parent)
    except OSError as error:
        raise StoreError(f"{path} cannot be created: {error.strerror}.") from error
    part = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
            os.fchmod(descriptor, 0o600)  # the umask may have taken rights of the user's own
            yield stream
        _publish(part, path, overwrite=overwrite)
    except OSError as error:
        if isinstance(error, InterruptedError):
            raise
        raise StoreError(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)


def check_target(path: Path, db_path: Path, *, overwrite: bool) -> None:
    """Raise `UsageError` or `StoreError` when no export can be written to `path`."""
    check_apart(path, db_path)
    if not path.parent.is_dir():
        raise StoreError(f"There is no folder {path.parent}: create it first.")
    if not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_file():
        raise UsageError(f"{path} is not an ordinary file: choose another.")
    if not overwrite:
        raise _exists(path)


def _exists(path: Path) -> UsageError:
    """Return the error for a file that exists already."""
    return UsageError(f"{path} is there already: choose another file, or say that it may be replaced (--force).")


def _publish(part: Path, path: Path, *, overwrite: bool) -> None:
    if overwrite:
        part.replace(path)
        return
    try:
        path.hardlink_to(part)  # unlike a rename, it fails when the file was made meanwhile
    except FileExistsError:
        raise _exists(path) from None
    except OSError:  # a file system without links
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        part.replace(path)
