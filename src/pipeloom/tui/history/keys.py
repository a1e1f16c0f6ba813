"""The keys of the history."""

from __future__ import annotations

from typing import Final

from textual.binding import BindingType

from pipeloom.tui.attempts.table_screen import SHARED_KEYS
from pipeloom.tui.bindings import key

HISTORY_KEYS: Final[list[BindingType]] = [
    key("r", "retry", "Retry", "Run the marked again, else what is under the cursor.", "history.retry"),
    key("R", "retry_failed", "Failed", "Run every failed task in view again.", "history.retry_failed", footer=False),
    key("g", "next_view", "Group", "Show attempts, tasks or failures.", "history.group"),
    key("f", "filters", "Filters", "Choose a filter that is kept ready, or keep this one.", "history.filters"),
    key("left_square_bracket", "step(1)", "Older", "Go to the run before.", "history.older", display="["),
    key("right_square_bracket", "step(-1)", "Newer", "Go to the run after.", "history.newer", display="]"),
    key("b", "runs", "Runs", "Go to the list of runs, or back from it.", "history.runs", footer=False),
    key("s", "sort", "Sort", "Choose the order of the attempts.", "history.sort", footer=False),
    key("S", "reverse", "Reverse", "Turn the order round.", "history.reverse", footer=False),
    key("asterisk", "mark_all", "All", "Mark all that is loaded.", "history.all", display="*", footer=False),
    key("f5", "newest", "Reload", "Read the file again, from the newest on.", "history.reload", footer=False),
    key("c", "compare", "Compare", "Compare two marked runs or attempts, else with the one before.", "history.compare"),
    key(
        "t",
        "report('timeline')",
        "Timeline",
        "Show the run of this row in time, a lane for each worker.",
        "history.timeline",
    ),
    key("L", "report('log')", "Run-log", "Show what this run's hooks have said.", "history.run_log", footer=False),
    key("h", "report('task')", "Chart", "Show how long this task took over the runs.", "history.chart", footer=False),
    key(
        "D",
        "report('days')",
        "Days",
        "Show the runs of each day, and how they ended.",
        "history.days",
        footer=False,
    ),
    key("E", "export", "Export", "Write what is in view to a file or the clipboard.", "history.export", footer=False),
    key("C", "case", "Case", "Write all that is known of this attempt into one file.", "history.case", footer=False),
    key(
        "P",
        "prune",
        "Prune",
        "Choose what is kept; the rest goes, after a question.",
        "history.prune",
        footer=False,
    ),
    *SHARED_KEYS,
]
