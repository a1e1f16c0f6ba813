"""The two lines above the history: what is shown of which file, and the filters that one click holds ready."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from textual.content import Content
from textual.reactive import reactive
from textual.style import Style
from textual.widget import Widget

from pipeloom.store.file.owner import owner
from pipeloom.tui.services import AppServices
from pipeloom.tui.style import format as fmt
from pipeloom.tui.style.text import content
from pipeloom.tui.widgets.line_layout import Part, line

VIEWS: Final = ("attempts", "tasks", "failures")
QUICK: Final = {"today": "started:today", "7 days": "age:<7d", "failed": "status:error,interrupted"}
"""Filters by name; `slowest`, which is an order, is offered beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BarState:
    """All that a `HistoryBar` shows."""

    file: str
    view: str = VIEWS[0]
    scope: str = ""
    """The run that the lists are of; "" for all."""
    order: str = ""
    """By what the attempts are sorted, where that is not time."""
    active: tuple[str, ...] = ()
    """The quick filters that hold."""
    saved: tuple[str, ...] = ()
    """Names of the user's own filters."""
    fresh: int = 0
    """Attempts that have come since the list was read, and wait to be shown."""
    notice: str = ""
    """Who owns the file, for a viewer."""


class HistoryBar(Widget):
    """File, scope and notice on one line; views and quick filters, which can be clicked, on the other."""

    DEFAULT_CSS = """
    HistoryBar { height: 2; padding: 0 1; }
    """

    auto_links = False

    state: reactive[BarState | None] = reactive(None)
    """What is shown; an equal state costs no repaint."""
    ascii_only: reactive[bool] = reactive(False)  # noqa: FBT003
    """Whether signs keep to ASCII."""

    def render(self) -> Content:
        """Draw the state for the width there is."""
        if self.state is None:
            return Content("")
        width = self.content_size.width
        return Content("\n").join([_title(self.state, width, self.ascii_only), _views(self.state, width)])


def owner_notice(services: AppServices) -> str:
    """Return the owner of the file in the words of the live screen; "" where this process may write."""
    if services.owner is None:
        return ""
    return f"VIEWER {'-' if services.ascii_only else '·'} pid {owner(services.db_path).get('pid', '?')}"


def _title(state: BarState, width: int, ascii_only: bool) -> Content:
    dot = " - " if ascii_only else " · "
    sign = "^" if ascii_only else "▲"
    left = [
        Part(content("history", "bold"), 9),
        Part(content(state.file, "$muted", limit=60), 8),
        Part(content(state.scope, "$accent", limit=60), 7, dot),
        Part(content(state.order, "$muted", limit=40), 3, dot),
    ]
    fresh = f"{sign} {fmt.count(state.fresh)} new"
    right = [
        Part(_clicks(content(fresh, "bold $status-running"), "screen.newest") if state.fresh else Content(""), 10),
        Part(content(state.notice, "$warning", limit=120), 6),
    ]
    return line(left, right, width)


def _views(state: BarState, width: int) -> Content:
    left = [
        Part(
            _clicks(content(f" {view} ", "bold reverse" if view == state.view else "$muted"), f"screen.view('{view}')"),
            9,
        )
        for view in VIEWS
    ]
    quick = [*QUICK, "slowest", *state.saved]
    right = [
        # Places, because a name is the user's own text, and must not get into an action.
        Part(
            _clicks(
                content(name, "bold $accent" if name in state.active else "$muted", limit=20), f"screen.quick({place})"
            ),
            8 if name in state.active else 5 - place,
        )
        for place, name in enumerate(quick)
    ]
    return line(left, right, width)


def _clicks(text: Content, action: str) -> Content:
    return text.stylize(Style.from_meta({"@click": action}))
