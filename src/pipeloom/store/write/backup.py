"""A copy of a file before its tables are changed."""

from __future__ import annotations

import logging
import os
import sqlite3
from pathlib import Path

from pipeloom.errors import StoreError
from pipeloom.times import utc_now

_log = logging.getLogger(__name__)


def back_up(connection: sqlite3.Connection, path: Path) -> Path:
    """Copy the file that `connection` has open to one beside it that only its user may read; return its path."""
    real = Path(os.path.realpath(path))
    copy = real.with_name(f"{real.name}.backup-{utc_now():%Y%m%d-%H%M%S-%f}")
    try:
        # SQLite writes into an empty file, and this one is private.
        os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        copy.chmod(0o600)  # the umask may have taken rights of the user's own
        connection.execute("VACUUM INTO ?", (str(copy),))
    except (OSError, sqlite3.Error) as error:
        copy.unlink(missing_ok=True)
        raise StoreError(
            f"{path} was not brought up to date, because it could not be copied to {copy.name} first: {error}."
        ) from error
    _log.warning("%s is brought up to date; what it was until now is kept in %s.", path, copy.name)
    return copy
