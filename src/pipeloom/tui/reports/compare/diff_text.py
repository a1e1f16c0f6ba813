"""The differences between two texts, one line each; equal parts are folded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Final

from textual.content import Content

from pipeloom.tui.style.text import content

LINES: Final = 600
"""Lines of each text that are compared: the cost grows with the square."""
_LINE_LIMIT: Final = 400
_CONTEXT: Final = 2
"""Equal lines shown beside different ones."""


def diff_lines(left: Sequence[str], right: Sequence[str]) -> list[Content]:
    """Return the lines of both texts: equal ones dim and folded, others bright behind "-" or "+"."""
    one, other = ([line[:_LINE_LIMIT] for line in side[:LINES]] for side in (left, right))
    shown = list(_diff(one, other))
    cut = max(len(left), len(right)) - LINES
    return [*shown, content(f"  … {cut:,} more lines are not compared …", "$muted")] if cut > 0 else shown


def json_lines(text: str | None) -> list[str]:
    """Return JSON as lines, or the text itself when it is no JSON."""
    if not text:
        return []
    try:
        return json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False).splitlines()
    except (ValueError, RecursionError):
        return text.splitlines()


def _diff(left: Sequence[str], right: Sequence[str]) -> Iterator[Content]:
    matcher = SequenceMatcher(None, left, right)
    for tag, low, high, other_low, other_high in matcher.get_opcodes():
        if tag == "equal":
            first, last = low == 0, high == len(left) and other_high == len(right)
            yield from _equal(left[low:high], 0 if first else _CONTEXT, 0 if last else _CONTEXT)
        else:
            yield from (content(f"- {line}", "$accent", _LINE_LIMIT) for line in left[low:high])
            yield from (content(f"+ {line}", "$secondary", _LINE_LIMIT) for line in right[other_low:other_high])


def _equal(lines: Sequence[str], head: int, tail: int) -> Iterator[Content]:
    """Yield equal lines: those beside a difference, and the number of the others."""
    hidden = len(lines) - head - tail
    if hidden <= 1:
        head, tail, hidden = len(lines), 0, 0
    yield from (content(f"  {line}", "$muted", _LINE_LIMIT) for line in lines[:head])
    if hidden:
        yield content(f"  … {hidden:,} equal lines …", "$faint")
    yield from (content(f"  {line}", "$muted", _LINE_LIMIT) for line in lines[len(lines) - tail :])
