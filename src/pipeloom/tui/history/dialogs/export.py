"""The export dialog: asks for format and file, then writes."""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Final

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Button, Input, RadioButton, RadioSet, Static

from pipeloom.errors import PipeloomError
from pipeloom.export.attempts import CLIPBOARD_LIMIT, ExportPlan, clipboard_text, export
from pipeloom.export.case_file import case_file
from pipeloom.export.formats import Format
from pipeloom.export.target_file import check_target, new_file
from pipeloom.filters import Filter
from pipeloom.store.read.history import History
from pipeloom.store.read.paging import NEWEST, Sort
from pipeloom.store.rows import AttemptRow
from pipeloom.text import counted
from pipeloom.tui.bindings import key
from pipeloom.tui.services import AppServices
from pipeloom.tui.sharing.clipboard import copy
from pipeloom.tui.style import format as fmt
from pipeloom.tui.style.text import content
from pipeloom.tui.textual_compat.one_answer import OneAnswerScreen
from pipeloom.tui.widgets.dialogs import ConfirmDialog
from pipeloom.tui.widgets.toasts import ROOMY

_FORMATS: Final = (Format.CSV, Format.JSONL, Format.MARKDOWN)
_ENDINGS: Final = {f".{format_.value}" for format_ in Format}
_CLIPBOARD: Final = len(_FORMATS)
"""Index of the clipboard among the choices."""


class _Radio(RadioButton):
    """A choice with a sign only when it is taken, so that no colour is needed."""

    BUTTON_LEFT = ""
    BUTTON_RIGHT = ""

    def on_mount(self) -> None:
        """Show the initial sign."""
        self._sign()

    def watch_value(self) -> None:
        """Show or hide the sign."""
        super().watch_value()
        self._sign()

    def _sign(self) -> None:
        ascii_only = getattr(self.app, "ascii_only", False)
        self.BUTTON_INNER = ("*" if ascii_only else "●") if self.value else " "
        self.refresh()


class _Formats(RadioSet):
    """The formats: enter takes the one under the cursor, and writes when it is taken already."""

    class Confirmed(Message):
        """Enter on the format that is taken."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "confirm", "Export", show=False)]

    def action_confirm(self) -> None:
        """Take the format under the cursor, or confirm it."""
        before = self.pressed_index
        self.action_toggle_button()
        if self.pressed_index == before:
            self.post_message(self.Confirmed())


class ExportDialog(ModalScreen[ExportPlan | None], OneAnswerScreen[ExportPlan | None]):
    """Asks for format and file; an existing file is replaced only after a second question."""

    DEFAULT_CSS = """
    ExportDialog { align: center middle; }
    ExportDialog RadioSet { layout: horizontal; height: auto; }
    ExportDialog.-narrow RadioSet { layout: vertical; }
    ExportDialog Input { width: 1fr; }
    ExportDialog .dialog--field { height: auto; }
    """

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (60, "-wide")]  # noqa: RUF012 - not a ClassVar in Textual
    VERTICAL_BREAKPOINTS = [(0, "-short"), (20, "-tall"), (ROOMY, "-roomy")]  # noqa: RUF012 - not a ClassVar in Textual

    BINDINGS: ClassVar[list[BindingType]] = [
        key("escape", "refuse", "Back", "Close without writing anything.", "export.refuse"),
    ]

    _path = getters.query_one("#export-path", Input)
    _note = getters.query_one("#export-note", Static)

    def __init__(self, db_path: Path, title: object, target: Path, *, is_case: bool = False) -> None:
        """Ask where to write what `title` names; `target` is offered. A case file is always Markdown."""
        super().__init__()
        self._db_path = db_path
        self._title_line = content(title)
        self._target = target
        self._is_case = is_case

    def compose(self) -> ComposeResult:
        """Yield formats, file and buttons."""
        with Vertical(classes="dialog"):
            yield Static(self._title_line, classes="dialog--title")
            with _Formats(id="export-format", compact=True, classes="dialog--choice"):
                if not self._is_case:
                    yield _Radio("CSV", value=True, compact=True)
                    yield _Radio("JSON lines", compact=True)
                yield _Radio("Markdown", value=self._is_case, compact=True)
                yield _Radio("Clipboard", compact=True)
            with Horizontal(classes="dialog--field"):
                yield Static("file", classes="dialog--label -short")
                yield Input(str(self._target), id="export-path", compact=True, select_on_focus=False)
            yield Static("", id="export-note", classes="dialog--note")
            with Horizontal(classes="dialog--buttons"):
                yield Button("Back (esc)", id="export-refuse", compact=True)
                yield Button("Export (enter)", id="export-write", classes="-confirm", compact=True)

    def on_mount(self) -> None:
        """Scroll to the end of the path, where the name is."""
        self._path.cursor_position = len(self._path.value)

    @property
    def _format(self) -> Format | None:
        """The chosen format; None for the clipboard."""
        place = self.query_one(_Formats).pressed_index
        formats = (Format.MARKDOWN,) if self._is_case else _FORMATS
        return formats[max(0, place)] if place < len(formats) else None

    @on(RadioSet.Changed)
    def _follow_format(self) -> None:
        """Set the file's ending by the format."""
        chosen, path = self._format, Path(self._path.value)
        self._path.disabled = chosen is None
        if chosen is None:
            self._say(f"as Markdown, as much as {CLIPBOARD_LIMIT // 1000} kB hold")
            return
        self._say("")
        if path.suffix in _ENDINGS:
            self._path.value = str(path.with_suffix(f".{chosen.value}"))

    @on(Input.Changed)
    def _forget_note(self) -> None:
        if self._format is not None:
            self._say("")

    @on(Input.Submitted)
    @on(_Formats.Confirmed)
    @on(Button.Pressed, "#export-write")
    def action_write(self) -> None:
        """Answer, if the file can be written."""
        chosen = self._format
        if chosen is None:
            self.dismiss(ExportPlan(Format.MARKDOWN))
            return
        try:
            path = Path(self._path.value.strip() or ".").expanduser()
            check_target(path, self._db_path, overwrite=True)
        except (PipeloomError, ValueError, RuntimeError) as error:  # RuntimeError: a home that is not known
            self._say(str(error), problem=True)
            return
        if not path.exists():
            self.dismiss(ExportPlan(chosen, path))
            return

        def answer(yes: bool | None) -> None:
            if yes:
                self.dismiss(ExportPlan(chosen, path, overwrite=True))

        self.app.push_screen(
            ConfirmDialog("Replace the file?", content(path, limit=300), "Replace", cancel_label="Back"), answer
        )

    @on(Button.Pressed, "#export-refuse")
    def action_refuse(self) -> None:
        """Write nothing."""
        self.dismiss(None)

    def _say(self, sentence: str, *, problem: bool = False) -> None:
        self._note.update(content(sentence, "$status-error" if problem else "$muted"))


def suggested(db_path: Path, now: float, ending: str = "csv", name: str = "") -> Path:
    """Return a file beside the database for an export made at `now` (Unix seconds)."""
    at = datetime.fromtimestamp(now).astimezone()
    return db_path.absolute().with_name(f"{db_path.stem}{name}-{at:%Y%m%d-%H%M%S}.{ending}")


async def export_attempts(services: AppServices, where: Filter, total: int, sort: Sort = NEWEST) -> None:
    """Ask, then write the `total` attempts that pass. For a worker of the screen."""
    title = f"Export {counted(total, 'attempt')}"
    title += f": {where}" if where else " (everything in the file)"
    plan = await services.push_screen_wait(
        ExportDialog(services.db_path, title, suggested(services.db_path, services.clock()))
    )
    if plan is None:
        return
    stop = threading.Event()
    try:
        if plan.path is None:
            text, count = await asyncio.to_thread(clipboard_text, services.db_path, where, sort=sort)
            copy(services, text)
            services.tell(f"{fmt.count(count)} of {counted(total, 'attempt')} copied.")
            return
        if total > 5_000:
            services.tell(f"Writing {plan.path} …")
        count = await asyncio.to_thread(export, services.db_path, where, plan, sort=sort, should_stop=stop.is_set)
        services.tell(f"{counted(count, 'attempt')} written to {plan.path}")
    except PipeloomError as error:
        services.tell(str(error), problem=True)
    finally:
        stop.set()  # the thread ends by itself


async def export_case(services: AppServices, row: AttemptRow) -> None:
    """Ask, then write the case file of an attempt. For a worker of the screen."""
    target = suggested(services.db_path, services.clock(), "md", f"-case-{row.id}")
    title = f"Case file of {row.name or '(empty)'}, attempt {row.id}"
    plan = await services.push_screen_wait(ExportDialog(services.db_path, title, target, is_case=True))
    if plan is None:
        return
    try:
        written = await asyncio.to_thread(_write_case, services.db_path, row.id, plan)
    except PipeloomError as error:
        services.tell(str(error), problem=True)
        return
    if plan.path is None:
        copy(services, written[:CLIPBOARD_LIMIT])
    services.tell("Copied." if plan.path is None else f"The case file was written to {plan.path}")


def _write_case(db_path: Path, attempt_id: int, plan: ExportPlan) -> str:
    with History(db_path) as history:
        text = "".join(case_file(history, attempt_id))
    if plan.path is not None:
        with new_file(plan.path, db_path, overwrite=plan.overwrite) as stream:
            stream.write(text)
    return text
