"""Keeps the log of an attempt small: its head and its tail stay, and what is left out can be counted.

Lines are numbered from 1. As the tail moves on, the lines behind it go; a gap in the numbers is what was dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pipeloom.store.write.ledger import LogLine

HEAD: Final = 200
TAIL: Final = 800

RawLine = tuple[int, str, str, str]
"""Attempt id, at, level, text."""


@dataclass(slots=True)
class LogChanges:
    """What a batch of lines changes in the file."""

    inserts: list[LogLine] = field(default_factory=list)
    drops: list[tuple[int, int, int]] = field(default_factory=list)
    """Attempt id, first and last number of lines that are not kept any longer."""
    counts: dict[int, int] = field(default_factory=dict)
    """Attempt id to the number of lines that it has had, of those attempts that have new ones."""


def log_changes(lines: Iterable[RawLine], counts: Mapping[int, int]) -> LogChanges:
    """Return what to insert and to drop, for attempts that have had `counts` lines until now."""
    changes = LogChanges()
    by_attempt: dict[int, list[RawLine]] = {}
    for line in lines:
        by_attempt.setdefault(line[0], []).append(line)
    for attempt_id, new in by_attempt.items():
        before = counts.get(attempt_id, 0)
        after = changes.counts[attempt_id] = before + len(new)
        tail = after - TAIL
        for number, (_, at, level, text) in enumerate(new, before + 1):
            if number <= HEAD or number > tail:
                changes.inserts.append((attempt_id, number, at, level, text))
        if before > HEAD and tail > HEAD:
            changes.drops.append((attempt_id, max(HEAD, before - TAIL) + 1, tail))
    return changes
