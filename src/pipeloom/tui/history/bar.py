"""The two lines above the history: file, run and order; views and quick filters, which can be clicked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from textual.content import Content
from textual.reactive import reactive
from textual.style import Style
from textual.widget import Widget

from pipeloom.store.file.owner import owner
from pipeloom.times import zone_names
from pipeloom.tui.services import AppServices
from pipeloom.tui.style import format as fmt
from pipeloom.tui.style.text import content
from pipeloom.tui.widgets.header import viewer_role
from pipeloom.tui.widgets.line_layout import Part, line

VIEWS: Final = ("attempts", "tasks", "failures")
QUICK: Final = {"today": "started:today", "7 days": "age:<7d", "failed": "status:error,interrupted"}
"""Filters by name; `slowest`, which is an order, is offered beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BarState:
    """What a `HistoryBar` shows."""

    file: str
    view: str = VIEWS[0]
    scope: str = ""
    """The run whose rows are shown; "" for all runs."""
    params: str = ""
    """The parameters of that run."""
    unchanged: int = 0
    """Tasks that it left out, because nothing had changed."""
    order: str = ""
    """The order of the attempts; "" for time."""
    active: tuple[str, ...] = ()
    """Names of the quick filters that are on."""
    saved: tuple[str, ...] = ()
    """Names of the user's own filters."""
    fresh: int = 0
    """New attempts since the list was read, which wait to be shown."""
    notice: str = ""
    """The owner of the file, for a viewer."""


class HistoryBar(Widget):
    """File, scope and notice on one line; views and quick filters, which can be clicked, on the other."""

    DEFAULT_CSS = """
    HistoryBar { height: 2; padding: 0 1; }
    """

    auto_links = False

    state: reactive[BarState | None] = reactive(None)
    """The state; setting an equal one costs no repaint."""
    ascii_only: reactive[bool] = reactive(False)  # noqa: FBT003
    """Whether only ASCII is drawn."""

    def render(self) -> Content:
        """Draw the state in the present width."""
        if self.state is None:
            return Content("")
        width = self.content_size.width
        return Content("\n").join([_title(self.state, width, self.ascii_only), _views(self.state, width)])


def owner_notice(services: AppServices) -> str:
    """Return the owner of the file in the words of the live screen; a notice or "" where no other process owns it."""
    if services.owner is None:
        return services.notice
    role = viewer_role(controls=services.controls is not None)
    return f"{role} {'-' if services.ascii_only else '·'} pid {owner(services.db_path).get('pid', '?')}"


def _title(state: BarState, width: int, ascii_only: bool) -> Content:
    dot = " - " if ascii_only else " · "
    sign = "^" if ascii_only else "▲"
    left = [
        Part(content("history", "bold"), 9),
        Part(content(state.file, "$muted", limit=60), 8),
        Part(content(state.scope, "$accent", limit=60), 7, dot),
        Part(content(state.params, "$muted", limit=80), 4, least=16),
        Part(content(f"{fmt.count(state.unchanged)} unchanged" if state.unchanged else "", "$muted"), 6, dot),
        Part(content(state.order, "$muted", limit=40), 3, dot),
        Part(content(f"times in {zone_names()}", "$muted", limit=40), 5, dot),
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
        # By place: a name is the user's text, and must not become part of an action.
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
