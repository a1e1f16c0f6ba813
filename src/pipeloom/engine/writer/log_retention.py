"""Keeps the log of an attempt small: its first and its last lines stay.

Lines are numbered from 1. As the tail moves on, older lines are dropped; a gap in the numbers counts them.
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
    """The inserts and deletes of a batch of lines."""

    inserts: list[LogLine] = field(default_factory=list)
    drops: list[tuple[int, int, int]] = field(default_factory=list)
    """Attempt id, first and last number of lines to delete."""
    counts: dict[int, int] = field(default_factory=dict)
    """Attempt id to its number of lines so far, for attempts with new lines."""


def log_changes(lines: Iterable[RawLine], counts: Mapping[int, int]) -> LogChanges:
    """Return the inserts and deletes, for attempts that had `counts` lines before."""
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
