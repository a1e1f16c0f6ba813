"""The baseline of `bench_screen.py`: the same rows and messages in Textual's own `DataTable`, fed as well as it can be."""

from __future__ import annotations

import os
import threading
import time
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.coordinate import Coordinate
from textual.widgets import DataTable

TASKS = int(os.environ.get("BENCH_TASKS", "100"))
MESSAGES_PER_S = int(os.environ.get("BENCH_MESSAGES", "10000"))
TALKS = os.environ.get("BENCH_WORK") == "talk"
STEPS = 40


class Baseline(App[None]):
    CSS = "DataTable > .datatable--cursor { background: #262a3f; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("j", "move(1)"), Binding("k", "move(-1)")]

    def compose(self) -> ComposeResult:
        yield DataTable(cursor_type="row")

    def on_mount(self) -> None:
        self.table: DataTable[str] = self.query_one(DataTable)
        self.table.add_column("ID", width=6)
        self.table.add_column("Task", width=30)
        self.table.add_column("Status", width=12)
        self.table.add_column("Progress", width=20)
        self.table.add_rows([str(number), f"task-{number:06}", "queued", "0 %"] for number in range(TASKS))
        self._waiting: dict[int, int] = {}
        self._lock = threading.Lock()
        if TALKS:
            threading.Thread(target=self._talk, daemon=True).start()
            self.set_interval(0.05, self._drain)

    def action_move(self, lines: int) -> None:
        self.table.move_cursor(row=self.table.cursor_row + lines)

    def _talk(self) -> None:
        """Publish messages at the pace, four tasks at a time."""
        for first in range(0, TASKS, 4):
            for step in range(STEPS):
                with self._lock:
                    self._waiting.update((number, step) for number in range(first, first + 4))
                time.sleep(4 / MESSAGES_PER_S)

    def _drain(self) -> None:
        """Show the newest state of each row, once for all that was said about it."""
        with self._lock:
            news, self._waiting = self._waiting, {}
        for number, step in news.items():
            self.table.update_cell_at(Coordinate(number, 2), "done" if step == STEPS - 1 else "running")
            self.table.update_cell_at(Coordinate(number, 3), f"{100 * (step + 1) // STEPS} %")


if __name__ == "__main__":
    Baseline().run()
