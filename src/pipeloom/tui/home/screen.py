"""The list of the user's files: filled as they are read, the one that was used last first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Final

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static

from pipeloom.errors import StoreError
from pipeloom.home.known import KnownFile, forget, known_files, set_list_aside
from pipeloom.home.look import FileSummary, look
from pipeloom.parameters.texts import read_back, without_few, words_of
from pipeloom.secrets import hides
from pipeloom.status import Status
from pipeloom.store.read.history import History
from pipeloom.store.rows import RunRow
from pipeloom.text import counted
from pipeloom.tui.bindings import key
from pipeloom.tui.home.columns import READING, home_columns, shown_path
from pipeloom.tui.home.reader import ChangeWatch, SummaryReader
from pipeloom.tui.services import ServicesGetter
from pipeloom.tui.style.format import age
from pipeloom.tui.style.text import content
from pipeloom.tui.table.sources import ListSource
from pipeloom.tui.table.virtual_table import VirtualTable
from pipeloom.tui.textual_compat.one_shot import call_in
from pipeloom.tui.textual_compat.work import work
from pipeloom.tui.threads import in_daemon_thread
from pipeloom.tui.widgets.dialogs import ConfirmDialog
from pipeloom.tui.widgets.key_footer import KeyFooter

_PAINT_S: Final = 0.1
"""Seconds in which what is found is gathered before it is shown."""
_EMPTY: Final = """No file is known here yet.

A pipeline makes one:
pipeloom-tui etl.db pipeline.py

Or look around first, with forty tasks that do no harm:
pipeloom-tui --demo

q quits"""


class HomeScreen(Screen[None]):
    """Shows the files; `Chosen` tells which one is opened or run."""

    services = ServicesGetter()

    BINDINGS: ClassVar[list[BindingType]] = [
        key("o", "open", "Open", "Open the run that goes on, else the history.", "home.open", display="enter"),
        key("n", "run_again", "Run again", "Run the pipeline again that you last ran on it; asks.", "home.run"),
        key("delete,backspace", "forget", "Forget", "Take it out of this list; asks.", "home.forget"),
        key("y", "copy", "Copy", "Copy the path of the file.", "home.copy", footer=False),
        key("f5", "reload", "Reload", "Read the list and all files again.", "home.reload", footer=False),
    ]  # fmt: skip

    @dataclass
    class Chosen(Message):
        """The user has chosen a file."""

        path: Path
        pipeline: str | None
        """What is run on it; None: it is only opened."""

    class Found(Message):
        """Files were read."""

    @dataclass
    class Changed(Message):
        """Files have changed since they were read."""

        files: list[KnownFile]

    _table = getters.query_one("#files", VirtualTable)
    _head = getters.query_one("#home-head", Static)
    _foot = getters.query_one("#home-file", Static)
    _notice = getters.query_one("#home-notice", Static)

    TITLE = "Home"

    def __init__(self, *, read_only: bool = False, look_at: Callable[[KnownFile], FileSummary] = look) -> None:
        """Show the files of the user's list; with `read_only` nothing is run."""
        super().__init__()
        self._read_only = read_only
        self._source: ListSource[FileSummary] = ListSource(lambda row: row.file.path)
        self._looking = SummaryReader(lambda: self.post_message(self.Found()), look_at)
        self._is_due = False
        self._told: list[Content] = []
        """What the head says."""
        self._watch = ChangeWatch(lambda: self._source.rows, lambda files: self.post_message(self.Changed(files)))
        self._pending: set[Path] = set()
        """Files that are being read."""

    @property
    def left_to_read(self) -> int:
        """Number of files that are being read."""
        return len(self._pending)

    def compose(self) -> ComposeResult:
        """Yield head, table, the line about the file under the cursor, and footer."""
        yield Static("", id="home-head")
        yield VirtualTable(
            self._source, home_columns(), beside=_age_of, ascii_only=self.services.ascii_only, id="files"
        )
        yield Static(_empty_content(), id="home-notice", classes="notice")
        yield Static("", id="home-file")
        yield KeyFooter()

    def on_mount(self) -> None:
        """Read the list; the files follow."""
        self.set_interval(1.0, self._tick)
        self._tick()
        self._fill()
        self._watch.start()

    def on_unmount(self) -> None:
        """Read no more files."""
        self._looking.stop()
        self._watch.stop()

    # -- reading -------------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Show the list; what was read of a file before stays until it is read again."""
        if told := set_list_aside():
            self.services.tell(told, problem=True)
        known = {row.file.path: row for row in self._source.rows}
        files = known_files()
        rows = [known.get(file.path, FileSummary(file, READING)) for file in files]
        self._source.replace(rows)
        self._show_rows()
        self._look_at(files)

    def _look_at(self, files: list[KnownFile]) -> None:
        wanted = [file for file in files if file.path not in self._pending]
        self._pending.update(file.path for file in wanted)
        self._looking.begin(wanted)

    @on(Found)
    def _show_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            call_in(self, _PAINT_S, self._show_found)

    def _show_found(self) -> None:
        self._is_due = False
        found = {seen.file.path: seen for seen in self._looking.take()}
        self._pending -= found.keys()
        self._source.replace([found.get(row.file.path, row) for row in self._source.rows])
        self._table.refresh_rows()
        self._show_head()
        if (row := self._row) is not None and row.file.path in found:
            self._show_file()

    def _show_rows(self) -> None:
        there = bool(self._source.rows)
        self._table.display, self._notice.display = there, not there
        self._table.refresh_rows()
        if there and self.focused is None:
            self._table.focus()
        self._show_head()
        self._show_file()
        self.refresh_bindings()

    def _tick(self) -> None:
        self._table.tick(self.services.clock())
        self._show_head()

    @on(Changed)
    def _look_again(self, event: Changed) -> None:
        self._look_at([file for file in event.files if file.path not in self._pending])

    # -- what is told besides the rows ---------------------------------------------------------------------------------

    def _show_head(self) -> None:
        rows, now = self._source.rows, self.services.clock()
        told = [content("pipeloom", "bold"), content(f"  {counted(len(rows), 'file')}", "$muted")]
        for count, word, style in (
            (sum(row.status is Status.RUNNING for row in rows), "running", "$status-running"),
            (sum(row.status is Status.ERROR for row in rows), "failed", "$status-error"),
            (sum(row.is_late(now) for row in rows), "late", "$status-error"),
            (sum(row.trouble == "gone" for row in rows), "gone", "$status-interrupted"),
        ):
            if count:
                told.append(content(f"  {count} {word}", style))
        if told != self._told:
            self._told = told
            self._head.update(Content("").join(told))

    @on(VirtualTable.Highlighted)
    def _show_file(self) -> None:
        row = self._row
        if row is None:
            self._foot.update("")
            return
        parts = [content(shown_path(str(row.file.path)), limit=4096)]
        if row.remark:
            parts.append(content(f"  {row.remark}", "$status-interrupted"))
        if row.file.pipeline:
            parts.append(content(f"  {shown_path(row.file.pipeline)}", "$muted", limit=4096))
        self._foot.update(Content("").join(parts))

    @property
    def _row(self) -> FileSummary | None:
        place = self._table.cursor_index
        return self._source.rows[place] if place < len(self._source.rows) else None

    # -- actions -------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what is done with a file only where there is one."""
        if action in ("open", "run_again", "forget", "copy") and self.is_mounted:
            return self._row is not None and not (action == "run_again" and self._read_only)
        return super().check_action(action, parameters)

    @on(VirtualTable.Chosen)
    def action_open(self) -> None:
        """Open the file under the cursor."""
        row = self._row
        if row is None:
            return
        if row.trouble and row.trouble not in (READING, "locked"):
            name = row.file.path.name
            self.services.tell(
                f"{name} cannot be opened: {row.trouble}. delete takes it out of the list.", problem=True
            )
            return
        self.post_message(self.Chosen(row.file.path, None))

    @work(exclusive=True, group="question")
    async def action_run_again(self) -> None:
        """Ask, and run the pipeline again that this user has last run on the file."""
        if (row := self._row) is None:
            return
        name, spec = row.file.path.name, row.file.pipeline
        if not spec:
            self.services.tell(f"You have run no pipeline on {name} yet: pipeloom-tui {name} pipeline.py", problem=True)
            return
        if row.status is Status.RUNNING:
            self.services.tell(f"A run of {name} goes on: enter shows it.", problem=True)
            return
        run = await in_daemon_thread(partial(_run_before, row), "pipeloom-home-run")
        dialog = ConfirmDialog(
            f"Run the pipeline of {name} again?",
            _again_content(spec, run),
            "Run it",
            cancel_label="Leave it",
            destructive=False,
        )
        if await self.services.push_screen_wait(dialog):
            self.post_message(self.Chosen(row.file.path, spec))

    @work(exclusive=True, group="question")
    async def action_forget(self) -> None:
        """Ask, and take the file out of the list."""
        if (row := self._row) is None:
            return
        dialog = ConfirmDialog(
            f"Forget {row.file.path.name}?",
            "It leaves this list, and comes back when you open or run it. The file stays as it is.",
            "Forget it",
            cancel_label="Keep it",
            action="forget",
        )
        if await self.services.push_screen_wait(dialog):
            await asyncio.to_thread(forget, row.file.path)
            self._source.replace([other for other in self._source.rows if other.file.path != row.file.path])
            self._show_rows()

    def action_copy(self) -> None:
        """Put the path of the file on the clipboard."""
        if (row := self._row) is not None:
            self.services.copy_to_clipboard(str(row.file.path))
            self.services.tell("Copied.")

    def action_reload(self) -> None:
        """Read the list and all files again."""
        self._fill()


def _empty_content() -> Content:
    lines = _EMPTY.split("\n")
    styled = [
        content(line, "bold" if place == 0 else "$status-running" if line.startswith("pipeloom") else "")
        for place, line in enumerate(lines)
    ]
    return Content("\n").join(styled)


def _run_before(row: FileSummary) -> RunRow | None:
    """Return the run whose parameters the next one gets; None when it is not known to be of the same pipeline."""
    if row.run is None:
        return None
    try:
        with History(row.file.path) as history:
            run = history.last_run(row.run.pipeline)
    except StoreError:
        return None
    return run if run is not None and run.source == row.file.pipeline else None


def _again_content(spec: str, run: RunRow | None) -> Content:
    """Return what is run: the pipeline, and its parameters where they are known."""
    texts = {} if run is None else without_few(read_back(run.params))
    lines = [content(f"  {spec}", "bold", limit=300)]
    if run is not None and texts:
        lines += [content(f"  {words_of(texts)}", limit=600), Content("")]
        lines.append(content(f"You last ran it on this file; parameters as in run {run.id}.", "$muted"))
    else:
        lines += [Content(""), content("It is the one that you last ran on this file.", "$muted")]
    if hidden := [name for name, text in texts.items() if hides(text)]:
        lines.append(content(f"Secrets are not kept: {', '.join(hidden)} gets its default, or is asked for.", "$muted"))
    return Content("\n").join(lines)


def _age_of(row: FileSummary, second: int) -> Hashable:
    """Return what changes with time alone."""
    return None if row.run is None else (age(row.run.started_at, second), row.is_late(second))
