"""A traceback in which the user's own frames stand out from those of libraries and of pipeloom."""

from __future__ import annotations

from textual.content import Content

from pipeloom.store.fingerprints import frames
from pipeloom.text import clean
from pipeloom.tui.style.text import DETAIL_LIMIT, content


def traceback_text(error: str) -> Content:
    """Return `error` line by line: frames of libraries dim, the user's as they are, the error in red."""
    shown, style = [], ""
    for line in clean(error, DETAIL_LIMIT, multiline=True).split("\n"):
        frame = next(iter(frames(line)), None)
        if frame is not None:
            style = "bold" if frame.is_users else "$muted"
        elif line[:1].strip():
            style = "" if line.startswith("Traceback ") else "$status-error"
        shown.append(content(line, style, limit=DETAIL_LIMIT))
        style = "" if style == "bold" else style  # the place stands out, the code below it is plain
    return Content("\n").join(shown)
