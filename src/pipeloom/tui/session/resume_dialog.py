"""The question what to do about an earlier run that did not end."""

from __future__ import annotations

from enum import Enum, auto

from pipeloom.engine.run.resume import FAILED, NOT_DONE, Earlier, Resume, with_found
from pipeloom.errors import UsageError
from pipeloom.pipeline import TaskList
from pipeloom.tui.style import format as fmt
from pipeloom.tui.widgets.dialogs import Choice, ChoiceDialog


class Start(Enum):
    """What to start when nothing is resumed."""

    NOTHING = auto()
    EVERYTHING = auto()


def resume_dialog(earlier: Earlier, today: TaskList) -> ChoiceDialog[Resume | Start]:
    """Return the dialog that asks what to do about `earlier`; nothing runs unless the answer says so."""
    run, tasks = earlier.run, today.tasks
    try:
        left, failed = earlier.count(today, NOT_DONE), earlier.count(today, FAILED)
        total = len(with_found(tasks, earlier.found))
        body = f"{fmt.share_done(total - left, total)}. What it did stays as it is."
    except UsageError as error:  # its tasks are others now
        left = failed = 0
        body = f"It cannot be resumed. {error}"
    choices: list[Choice[Resume | Start]] = [Choice(Start.NOTHING, "Leave it, and show the history", key="n")]
    if left:
        label = f"Resume all that is not done: {fmt.count(left)}"
        choices.append(Choice(Resume(run_id=run.id), label, "-confirm", "r"))
    if 0 < failed < left:
        again = Resume(run_id=run.id, statuses=FAILED)
        choices.append(Choice(again, f"Resume what failed or was interrupted: {fmt.count(failed)}", "-confirm", "f"))
    choices.append(Choice(Start.EVERYTHING, f"Run everything again: {fmt.count(len(tasks))}", "-confirm", "e"))
    return ChoiceDialog(f"Run {run.id} of {run.pipeline} did not come to its end.", body, choices)
