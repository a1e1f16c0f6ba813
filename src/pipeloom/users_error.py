"""An error of the user's code in one line, with the user's own line that it comes from."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path
from typing import Final

from pipeloom.text import first_line

_NOT_THE_USERS: Final = (
    *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
    str(Path(__file__).parent),
)
"""Folders of Python, of installed packages and of pipeloom: what is raised there comes from a line elsewhere."""


def users_error(error: BaseException, place: str = "") -> str:
    """Return the error's class and text, and the file and line; `place` names the file of a text without one."""
    if isinstance(error, SyntaxError) and error.lineno:
        return f"SyntaxError: {first_line(error.msg)} ({Path(error.filename or place).name}, line {error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    frames = [frame for frame in frames if not frame.filename.startswith(_NOT_THE_USERS)]
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {first_line(error)}{where}"
