"""What the report screens share: a title, a body, and a sentence where there is nothing to show."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Final, Generic, TypeVar

from textual import getters
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from pipeloom.errors import StoreError
from pipeloom.store.read.history import History
from pipeloom.tui.bindings import key
from pipeloom.tui.reader import read
from pipeloom.tui.services import ServicesGetter
from pipeloom.tui.session.bridge import Delivery
from pipeloom.tui.session.file_monitor import FileChanged
from pipeloom.tui.sharing.clipboard import copy
from pipeloom.tui.sharing.place import Place, copy_command
from pipeloom.tui.style.text import content
from pipeloom.tui.textual_compat.one_answer import OneAnswerScreen
from pipeloom.tui.textual_compat.one_shot import call_in
from pipeloom.tui.textual_compat.work import work
from pipeloom.tui.widgets.key_footer import KeyFooter

Found = TypeVar("Found")
Answer = TypeVar("Answer")

_RELOAD_S: Final = 1.0
"""Maximum seconds until a change of a run that goes on is shown."""

REPORT_KEYS: Final[list[BindingType]] = [
    key("escape", "leave", "Back", "Go back to where you came from.", "picture.back"),
    key("y", "copy", "Copy", "Copy what is shown, as text.", "picture.copy", footer=False),
    key("Y", "copy_command", "Command", "Copy the command that returns to this.", "picture.copy_command", footer=False),
    key("f5", "reload", "Reload", "Read the file again.", "picture.reload", footer=False),
]
"""Listed by each screen after its own keys, which come first in the footer."""


class ReportScreen(OneAnswerScreen[Answer], Generic[Answer, Found]):
    """Reads its report off the UI thread, when it opens and at each reload."""

    services = ServicesGetter()

    TITLE: ClassVar[str] = "Report"
    EMPTY: ClassVar[str] = "There is nothing to show."

    NEED_REPORT: ClassVar[frozenset[str]] = frozenset({"copy"})
    """Actions that are not offered without a report."""

    _head = getters.query_one("#report-title", Static)
    _body = getters.query_one("#report-body", Vertical)
    _notice = getters.query_one("#report-notice", Static)

    def __init__(self, db_path: Path) -> None:
        super().__init__()
        self.db_path = db_path
        self.found: Found | None = None
        """The report that was read last."""
        self._due: asyncio.TimerHandle | None = None

    def compose(self) -> ComposeResult:
        """Yield title, body, notice and footer."""
        yield Static("", id="report-title")
        with Vertical(id="report-body"):
            yield from self.compose_body()
        yield Static("Reading…", id="report-notice", classes="notice")
        yield KeyFooter()

    def on_mount(self) -> None:
        """Read the report."""
        self._body.display = False
        self._head.update(self.title_line())
        self.services.commits.subscribe(self, self._reload_soon)
        self.services.file_changes.subscribe(self, self._reload_soon)
        self.reload()

    # -- what each screen says ---------------------------------------------------------------------------------------

    def compose_body(self) -> Iterable[Widget]:
        """Yield the widgets of the report."""
        return ()

    def title_line(self) -> Content:
        """Return the first line."""
        return content(f"{self.TITLE.lower()}  {self.db_path.name}", "bold")

    def empty_content(self) -> Content:
        """Return the sentence for an empty report."""
        return content(self.EMPTY)

    def look_up(self, history: History) -> Found | None:
        """Read the report, off the UI thread; None when there is nothing to show."""
        raise NotImplementedError

    def show_found(self, found: Found) -> None:
        """Show the report."""
        raise NotImplementedError

    def plain(self, found: Found) -> str:
        """Return the report as text."""
        raise NotImplementedError

    def place(self) -> Place:
        """Return what the screen shows."""
        raise NotImplementedError

    def goes_on(self, found: Found) -> bool:
        """Tell whether the report may still change: then it follows the file."""
        del found
        return False

    # -- reading and showing -----------------------------------------------------------------------------------------

    @work(exclusive=True, group="report")
    async def reload(self) -> None:
        """Read the file again."""
        self._due = None
        try:
            found = await read(self.db_path, self.look_up)
        except (StoreError, InterruptedError) as error:
            self._say(content(error, "$status-error"))
            return
        self.found = found
        if found is None:
            self._say(self.empty_content())
            return
        self._body.display, self._notice.display = True, False
        self.show_found(found)
        self._head.update(self.title_line())
        self.refresh_bindings()

    def _reload_soon(self, _event: Delivery | FileChanged) -> None:
        """Reload a report that may change, at most once a second, and only while the screen is shown."""
        if self._due is None and self.is_current and self.found is not None and self.goes_on(self.found):
            self._due = call_in(self, _RELOAD_S, self.reload)

    def _say(self, sentence_content: Content) -> None:
        """Show a sentence in place of the report."""
        self._body.display, self._notice.display = False, True
        self._notice.update(sentence_content)
        self.refresh_bindings()

    def action_reload(self) -> None:
        """Read the file again."""
        self.reload()

    def action_copy(self) -> None:
        """Put the report on the clipboard of the terminal (OSC 52), as text."""
        if self.found is not None:
            copy(self.services, self.plain(self.found))
            self.services.tell("Copied.")

    def action_copy_command(self) -> None:
        """Put the command on the clipboard that returns to what is on the screen."""
        copy_command(self.services, self.place())

    def action_leave(self) -> None:
        """Close the screen."""
        self.dismiss(None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the actions that need a report only where there is one."""
        if action in self.NEED_REPORT:
            return self.found is not None and self._body.display
        return super().check_action(action, parameters)
