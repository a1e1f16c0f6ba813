"""The retention dialog: asks for a policy, shows what it would remove, and removes it after a second question."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import ClassVar, Final

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from pipeloom.errors import PipeloomError
from pipeloom.filters import Filter
from pipeloom.store.maintenance.prune import Policy, Pruned, PrunePreview, plan, prune, why_nothing
from pipeloom.text import counted, size
from pipeloom.tui.bindings import key
from pipeloom.tui.reader import read
from pipeloom.tui.services import AppServices
from pipeloom.tui.style import format as fmt
from pipeloom.tui.style.text import content
from pipeloom.tui.textual_compat.one_answer import OneAnswerScreen
from pipeloom.tui.textual_compat.work import work
from pipeloom.tui.widgets.bar import bar_content
from pipeloom.tui.widgets.dialogs import ConfirmDialog
from pipeloom.tui.widgets.toasts import ROOMY

_BAR: Final = 30
_LOOK_S: Final = 0.1
_FIELDS: Final = (
    ("prune-keep", "keep the last", "runs of each task"),
    ("prune-done", "done go after", "days"),
    ("prune-failed", "failed go after", "days"),
)


class PruneDialog(ModalScreen[Pruned | None], OneAnswerScreen[Pruned | None]):
    """Takes a policy, shows what it would remove, and removes it; stopping keeps what was removed so far removed."""

    DEFAULT_CSS = """
    PruneDialog { align: center middle; }
    PruneDialog .dialog--field { height: auto; }
    PruneDialog Input { width: 9; }
    PruneDialog .dialog--unit { width: 1fr; }
    """

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (60, "-wide")]  # noqa: RUF012 - not a ClassVar in Textual
    VERTICAL_BREAKPOINTS = [(0, "-short"), (20, "-tall"), (ROOMY, "-roomy")]  # noqa: RUF012 - not a ClassVar in Textual

    BINDINGS: ClassVar[list[BindingType]] = [
        key("escape", "refuse", "Back", "Close, or stop what goes on.", "prune.refuse"),
    ]

    _note = getters.query_one("#prune-note", Static)
    _remove = getters.query_one("#prune-remove", Button)

    def __init__(self, db_path: Path, where: Filter | None = None) -> None:
        """Ask about the attempts of the file that pass `where`."""
        super().__init__()
        self._db_path = db_path
        self._where = where or Filter()
        self._doomed = PrunePreview()
        self._stop = threading.Event()
        self._at: tuple[int, int] = (0, 0)
        self._is_removing = False
        self._said = ""

    def compose(self) -> ComposeResult:
        """Yield the rules, their effect, and the buttons."""
        with Vertical(classes="dialog"):
            yield Static("Remove old attempts", classes="dialog--title")
            if self._where:
                yield Static(content(f"of those that pass: {self._where}", "$muted"), classes="dialog--where")
            for name, before, after in _FIELDS:
                with Horizontal(classes="dialog--field"):
                    yield Static(content(before), classes="dialog--label")
                    yield Input(id=name, classes="dialog--number", type="integer", max_length=5, compact=True)
                    yield Static(content(after, "$muted"), classes="dialog--unit")
            yield Static("", id="prune-note", classes="dialog--note")
            with Horizontal(classes="dialog--buttons"):
                yield Button("Back (esc)", id="prune-refuse", compact=True)
                yield Button("Remove… (enter)", id="prune-remove", classes="-destructive", compact=True, disabled=True)

    def on_mount(self) -> None:
        """Start with an empty policy, which removes nothing."""
        self._count()

    @property
    def policy(self) -> Policy:
        """The policy in the fields."""
        keep, done, failed = (self.query_one(f"#{name}", Input).value for name, *_ in _FIELDS)
        return Policy(
            int(keep) if keep.isdecimal() else None,
            float(done) if done.isdecimal() else None,
            float(failed) if failed.isdecimal() else None,
            self._where,
        )

    # -- the dry run -------------------------------------------------------------------------------------------------

    @on(Input.Changed)
    @work(exclusive=True, group="plan")
    async def _count(self) -> None:
        """Show what the policy would remove; the next key replaces the query."""
        self._remove.disabled = True
        self._doomed = PrunePreview()
        policy = self.policy
        if policy.keep_last is None and policy.done_for_days is None and policy.failed_for_days is None:
            self._say(
                "An attempt goes when every rule that is given lets it go. Cancelled, interrupted and skipped "
                "ones count as failed."
            )
            return
        self._say("Counting…")
        try:
            self._doomed = await read(self._db_path, lambda history: plan(self._db_path, policy, history=history))
        except (PipeloomError, InterruptedError) as error:
            self._say(str(error), problem=True)
            return
        self._remove.disabled = not self._doomed.attempts
        nothing = f"Nothing would go: {why_nothing(self._doomed, policy)}"
        self._say(_told(self._doomed) if self._doomed.attempts else nothing)

    # -- the removal -------------------------------------------------------------------------------------------------

    @on(Input.Submitted)
    @on(Button.Pressed, "#prune-remove")
    def action_remove(self) -> None:
        """Ask again, with the focus on the safe answer."""
        if self._is_removing:
            return
        if self._remove.disabled:
            self._say(self._said, problem=True)  # why not
            return
        title = f"Remove {counted(self._doomed.attempts, 'attempt')}?"
        body = Content.assemble(
            content(_told(self._doomed)),
            "\n",
            content("They cannot be brought back. What runs is not touched.", "$muted"),
        )
        self.app.push_screen(ConfirmDialog(title, body, "Remove", cancel_label="Keep them"), self._begin)

    def _begin(self, yes: bool | None) -> None:
        if yes:
            self._carry_out(self.policy)

    @work(exclusive=True, group="prune")
    async def _carry_out(self, policy: Policy) -> None:
        self._is_removing = True
        self._remove.disabled = True
        for field in self.query(Input):
            field.disabled = True
        back = self.query_one("#prune-refuse", Button)
        back.label = "Stop (esc)"
        back.focus()
        ticking = self.set_interval(_LOOK_S, self._show_progress)
        try:
            pruned = await asyncio.to_thread(
                prune, self._db_path, policy, progress=self._note_progress, should_stop=self._stop.is_set
            )
        except PipeloomError as error:
            self._refused(str(error))
            return
        finally:
            ticking.stop()
            self._stop.set()
        self.dismiss(pruned)

    def _note_progress(self, removed: int, total: int) -> None:
        """Store the progress; called by the removing thread."""
        self._at = (removed, total)

    def _show_progress(self) -> None:
        removed, total = self._at
        if self._stop.is_set():
            self._say("Stopping after this commit…")
        elif not total:
            self._say("Removing…")
        elif removed == total:
            self._say("Giving the room back…")
        else:
            done = bar_content(removed / total, _BAR, "$status-running")
            self._note.update(Content.assemble(done, content(f"  {fmt.count(removed)} of {fmt.count(total)}")))

    def _refused(self, sentence: str) -> None:
        """Show why it failed, and let the user go back."""
        self._is_removing = False
        self.query_one("#prune-refuse", Button).label = "Back (esc)"
        self._say(sentence, problem=True)

    def on_unmount(self) -> None:
        """Stop a removal after its present commit when the dialog is removed."""
        self._stop.set()

    @on(Button.Pressed, "#prune-refuse")
    def action_refuse(self) -> None:
        """Close; stop a removal first."""
        if self._is_removing:
            self._stop.set()
        else:
            self.dismiss(None)

    def _say(self, sentence: str, *, problem: bool = False) -> None:
        self._said = sentence
        self._note.update(content(sentence, "$status-error" if problem else "$muted"))


async def prune_attempts(services: AppServices, where: Filter | None = None) -> None:
    """Ask, remove, and say what was removed. For a worker of the screen."""
    pruned = await services.push_screen_wait(PruneDialog(services.db_path, where))
    if pruned is None:
        return
    removed = f"{counted(pruned.attempts, 'attempt')} and {counted(pruned.runs, 'run')} are gone"
    end = "; stopped before all were." if not pruned.complete else f"; {pruned.remark}." if pruned.remark else "."
    given = f"; {size(pruned.given_back)} given back" if pruned.given_back else ""
    services.tell(f"{removed}{given}{end}")


def _told(doomed: PrunePreview) -> str:
    parts = (counted(doomed.attempts, "attempt"), counted(doomed.runs, "run"), counted(doomed.logs, "log line"))
    return f"{', '.join(parts)}: about {size(doomed.size)}"
