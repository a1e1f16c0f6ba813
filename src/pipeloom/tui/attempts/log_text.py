"""The log of an attempt as lines of text: by level, with matches of a search marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from textual.content import Content

from pipeloom.store.rows import LogRow
from pipeloom.text import counted
from pipeloom.times import shown
from pipeloom.tui.style.text import content, lines

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")
_RANKS: Final = {"DEBUG": 0, "INFO": 1, "WARNING": 2, "ERROR": 3, "CRITICAL": 3}
_STYLES: Final = {"WARNING": "$warning", "ERROR": "$status-error", "CRITICAL": "$status-error", "DEBUG": "$muted"}
_LINE_LIMIT: Final = 4000


def log_lines(rows: Sequence[LogRow], least: str = LEVELS[0], needle: str = "") -> list[Content]:
    """Return a line per row of level `least` or above (own levels always), and one per gap."""
    found = _lines(rows, _RANKS[least])
    return [_marked(line, needle) for line in found] if needle else list(found)


def zone_of(rows: Sequence[LogRow]) -> str:
    """Return the zone of all times in the log; "" where the clocks were changed meanwhile: each line names its own."""
    zones = {shown(row.at, "%Z") for row in rows} - {""}
    return zones.pop() if len(zones) == 1 else ""


def matches(found: Sequence[Content], needle: str) -> list[int]:
    """Return the indexes of the lines that contain `needle`, in any case."""
    folded = needle.lower()
    return [number for number, line in enumerate(found) if folded in line.plain.lower()] if needle else []


def _lines(rows: Sequence[LogRow], least: int) -> Iterator[Content]:
    expected = 1
    pattern = "%H:%M:%S" if zone_of(rows) else "%H:%M:%S %Z"
    for row in rows:
        if row.seq > expected:
            yield content(f"… {counted(row.seq - expected, 'line')} not kept …", "$muted")
        expected = row.seq + 1
        if _RANKS.get(row.level, len(_RANKS)) >= least:
            level = content(row.level[:8].ljust(8), _STYLES.get(row.level, "$status-running"))
            yield Content.assemble((shown(row.at, pattern), "$muted"), "  ", level, lines(row.text, limit=_LINE_LIMIT))


def _marked(line: Content, needle: str) -> Content:
    plain, folded = line.plain.lower(), needle.lower()
    if len(plain) != len(line.plain):
        return line  # a letter without a lower case of one character: its line is found, but not marked
    start = plain.find(folded)
    while start >= 0:
        line = line.stylize("reverse", start, start + len(folded))
        start = plain.find(folded, start + len(folded))
    return line
