"""What the screens have in common that show one picture of the file: a title, a body, a sentence in place of none."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Final, Generic, TypeVar

from textual import getters, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Footer, Static

from pipeloom.errors import StoreError
from pipeloom.store.read.history import History
from pipeloom.tui.bindings import key
from pipeloom.tui.reader import read
from pipeloom.tui.services import ServicesGetter
from pipeloom.tui.session.bridge import Delivery
from pipeloom.tui.session.file_monitor import FileChanged
from pipeloom.tui.style.text import content

Found = TypeVar("Found")
Answer = TypeVar("Answer")

_RELOAD_S: Final = 1.0
"""How long what goes on may wait to be shown."""

PICTURE_KEYS: Final[list[BindingType]] = [
    key("escape", "leave", "Back", "Go back to where you came from.", "picture.back"),
    key("y", "copy", "Copy", "Copy what is shown, as text.", "picture.copy", footer=False),
    key("f5", "reload", "Reload", "Read the file again.", "picture.reload", footer=False),
]
"""Listed by each screen after its own, which come first in the footer."""


class PictureScreen(Screen[Answer], Generic[Answer, Found]):
    """Reads what it shows off the UI thread, when it opens and at each reload."""

    services = ServicesGetter()

    TITLE: ClassVar[str] = "Picture"
    EMPTY: ClassVar[str] = "There is nothing to show."

    NEED_PICTURE: ClassVar[frozenset[str]] = frozenset({"copy"})
    """Actions that there is nothing for when there is no picture."""

    _head = getters.query_one("#picture-title", Static)
    _body = getters.query_one("#picture-body", Vertical)
    _notice = getters.query_one("#picture-notice", Static)

    def __init__(self, db_path: Path) -> None:
        super().__init__()
        self.db_path = db_path
        self.found: Found | None = None
        """What was read last."""
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """Put title, body, notice and keys in their places."""
        yield Static("", id="picture-title")
        with Vertical(id="picture-body"):
            yield from self.compose_body()
        yield Static("Reading…", id="picture-notice", classes="notice")
        yield Footer()

    def on_mount(self) -> None:
        """Begin to read."""
        self._body.display = False
        self._head.update(self.title_line())
        self.services.commits.subscribe(self, self._reload_soon)
        self.services.file_changes.subscribe(self, self._reload_soon)
        self.reload()

    # -- what each screen says ---------------------------------------------------------------------------------------

    def compose_body(self) -> Iterable[Widget]:
        """Yield what shows the picture."""
        return ()

    def title_line(self) -> Content:
        """Return what the first line says."""
        return content(f"{self.TITLE.lower()}  {self.db_path.name}", "bold")

    def empty_content(self) -> Content:
        """Return what is said when there is nothing to show."""
        return content(self.EMPTY)

    def look_up(self, history: History) -> Found | None:
        """Read what is to be shown, off the UI thread; None when there is nothing."""
        raise NotImplementedError

    def show_found(self, found: Found) -> None:
        """Show what was read."""
        raise NotImplementedError

    def plain(self, found: Found) -> str:
        """Return what is shown as text."""
        raise NotImplementedError

    def goes_on(self, found: Found) -> bool:
        """Tell whether what is shown may have changed since: then it follows the file."""
        del found
        return False

    # -- reading and showing -----------------------------------------------------------------------------------------

    @work(exclusive=True, group="picture")
    async def reload(self) -> None:
        """Read the file anew."""
        self._timer = None
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
        """Reload what goes on, at most once a second, and only while somebody looks."""
        if self._timer is None and self.is_current and self.found is not None and self.goes_on(self.found):
            self._timer = self.set_timer(_RELOAD_S, self.reload)

    def _say(self, sentence_content: Content) -> None:
        """Put a sentence in the place of the picture."""
        self._body.display, self._notice.display = False, True
        self._notice.update(sentence_content)
        self.refresh_bindings()

    def action_reload(self) -> None:
        """Read the file again."""
        self.reload()

    def action_copy(self) -> None:
        """Put the picture on the clipboard of the terminal (OSC 52), as text."""
        if self.found is not None:
            self.services.copy_to_clipboard(self.plain(self.found))
            self.services.tell("Copied.")

    def action_leave(self) -> None:
        """Go back."""
        self.dismiss(None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what needs a picture only where there is one."""
        if action in self.NEED_PICTURE:
            return self.found is not None and self._body.display
        return super().check_action(action, parameters)
