"""Questions about attempts that both screens with a table ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Final

from textual.content import Content

from pipeloom.status import FINAL, Status
from pipeloom.store.rows import AttemptRow
from pipeloom.text import LongNames, clean, counted
from pipeloom.tui.style.text import content, cut_name
from pipeloom.tui.widgets.dialogs import Choice, ChoiceDialog

_NAMED: Final = 5
"""Number of tasks that a dialog names; it counts the rest."""

_NAME: Final = 48
"""Cells of a name."""

CAN_RUN_AGAIN: Final = FINAL | {Status.RETRYING}
"""Statuses in which an attempt can be followed by another: it has ended, or waits for the time of its retry."""

ReadRows = Callable[[], Sequence[AttemptRow]]
"""Returns the attempts of a question as they are now."""


def needs_question(rows: Sequence[AttemptRow]) -> bool:
    """Tell whether a retry of these attempts is asked about: of more than one, or of one that is done."""
    return len(rows) > 1 or any(row.status is Status.DONE for row in rows)


class Again(Enum):
    """How tasks are run again."""

    NO = auto()
    GO_ON = auto()
    """From the state that they have left, if they have."""
    FROM_START = auto()


def again_dialog(
    title: str, body: Content | Callable[[], Content], *, action: str, with_state: int
) -> ChoiceDialog[Again]:
    """Ask whether to run tasks again; where some have left a state, also whether from there or from the start."""
    back, again = Choice(Again.NO, "Back", key="n"), Choice(Again.GO_ON, "Run again", "-confirm", key="y")
    if not with_state:
        return ChoiceDialog(title, body, [back, again], action=action)
    told = content(
        f"{counted(with_state, 'task')} can go on where {'it has' if with_state == 1 else 'they have'} ended."
    )
    start = Choice(Again.FROM_START, "From the start", key="s")
    again = Choice(Again.GO_ON, "Go on", "-confirm", key="y")
    read = body if callable(body) else lambda: body
    return ChoiceDialog(
        title, lambda: Content("\n").join([read(), Content(""), told]), [back, start, again], action=action
    )


def retry_title(rows: Sequence[AttemptRow]) -> str:
    """Return the question whether to run these attempts' tasks again."""
    failed = "failed " if all(row.status in (Status.ERROR, Status.INTERRUPTED) for row in rows) else ""
    return f"Run the {failed}task again?" if len(rows) == 1 else f"Run {len(rows):,} {failed}tasks again?"


def retry_dialog(read: ReadRows, *, action: str, with_state: int = 0) -> ChoiceDialog[Again]:
    """Ask whether to run these attempts' tasks again; `action` is the action that asks."""
    return again_dialog(retry_title(read()), lambda: named_tasks(read()), action=action, with_state=with_state)


def named_tasks(rows: Sequence[AttemptRow]) -> Content:
    """Return the number of attempts in each status, and the names of the first."""
    names = LongNames(clean(row.name) for row in rows[:_NAMED])
    shown = [_line(row, names) for row in rows[:_NAMED]]
    if len(rows) > _NAMED:
        shown.append(content(f"  … and {len(rows) - _NAMED:,} more", "$muted"))
    if len(rows) > 1:
        counts = Counter(row.status for row in rows)
        told = ", ".join(f"{counts[status]:,} {status}" for status in Status if counts[status])
        shown = [content(told, "$muted"), Content(""), *shown]
    return Content("\n").join(shown)


def _line(row: AttemptRow, names: LongNames) -> Content:
    name = cut_name(names, clean(row.name), _NAME) or "(empty)"
    return Content.assemble("  ", content(name, "bold"), (f"  {row.status}", "$muted"))
