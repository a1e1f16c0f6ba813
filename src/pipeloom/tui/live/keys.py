"""The keys of the live screen."""

from __future__ import annotations

from typing import Final

from textual.binding import BindingType

from pipeloom.tui.attempts.table_screen import SHARED_KEYS
from pipeloom.tui.bindings import key

LIVE_KEYS: Final[list[BindingType]] = [
    key("x", "cancel", "Cancel", "Cancel the marked tasks, else the one under the cursor.", "live.cancel"),
    key("r", "retry", "Retry", "Run the marked tasks again, else the one under the cursor.", "live.retry"),
    key("R", "retry_failed", "Failed", "Run every failed task in view again.", "live.retry_failed", footer=False),
    key("asterisk", "mark_all", "All", "Mark every task in view.", "live.all", display="*", footer=False),
    key("p", "pause", "Pause", "Start no more tasks, or go on.", "live.pause"),
    key("s", "sort", "Sort", "Choose the order of the tasks.", "live.sort", footer=False),
    key("S", "reverse", "Reverse", "Turn the order round.", "live.reverse", footer=False),
    key("T", "stack", "Stack", "Show where the running task's code is just now.", "live.stack", footer=False),
    key(
        "W",
        "show_workers",
        "Workers",
        "Show the workers, what they do, and the limits.",
        "live.workers",
        footer=False,
    ),
    key("full_stop", "next_running", "Next", "Go to the next running task.", "live.next", display=".", footer=False),
    key("plus", "workers(1)", "More", "Add a worker.", "live.more", display="+", footer=False),
    key("minus", "workers(-1)", "Fewer", "Take a worker away.", "live.fewer", display="-", footer=False),
    *SHARED_KEYS,
]
