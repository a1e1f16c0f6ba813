"""The workers and the limits: their place, their tasks, their use of the machine; how much of each limit is used."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, Final, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static

from pipeloom.engine.commands import LimitUse
from pipeloom.engine.executors.base import WorkerInfo
from pipeloom.tui.style.text import clip, clip_middle, content
from pipeloom.tui.textual_compat.one_answer import OneAnswerScreen
from pipeloom.tui.textual_compat.work import work

_UPDATE_S: Final = 0.25
_NAME: Final = 30
_TASKS: Final = 26
_FEWEST: Final = 12
"""Cells that are left for tasks where the lines do not fit otherwise."""
_NAMED: Final = 3
_CPU: Final = "  CPU"
_GAP: Final = "  "


class WorkersSeen(NamedTuple):
    """What is seen of a run's workers and limits."""

    workers: Sequence[WorkerInfo] | None
    """None: they are another program's."""
    limits: Sequence[LimitUse] = ()


class LimitStep(NamedTuple):
    """One step up or down of a limit's number."""

    name: str
    at_once: int = 0
    per_second: int = 0


class WorkersDialog(ModalScreen[None], OneAnswerScreen[None]):
    """Shows the workers and the limits, updated until it is closed, and changes a limit by key."""

    DEFAULT_CSS = """
    WorkersDialog {
        align: center middle;

        #limits--head { margin-top: 1; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,W,enter", "dismiss", "Close", tooltip="Close the workers.", id="workers.close"),
        Binding("j", "move(1)", "Down", tooltip="Go to the next limit.", id="workers.down", show=False),
        Binding("k", "move(-1)", "Up", tooltip="Go to the limit before.", id="workers.up", show=False),
        Binding("plus", "change(1, 0)", "More", tooltip="Let one more run at once.", id="workers.more"),
        Binding("minus", "change(-1, 0)", "Fewer", tooltip="Let one fewer run at once.", id="workers.fewer"),
        Binding("greater_than_sign", "change(0, 1)", "Faster", tooltip="Start more a second.", id="workers.faster"),
        Binding("less_than_sign", "change(0, -1)", "Slower", tooltip="Start fewer a second.", id="workers.slower"),
    ]

    def __init__(
        self,
        read: Callable[[], Awaitable[WorkersSeen | None]],
        name_of: Callable[[int], str],
        change: Callable[[LimitStep], Awaitable[None]] | None = None,
    ) -> None:
        """Show what `read` returns, until that is None; `name_of` names the task of an attempt.

        `change` carries out a step of a limit; without it none is offered.
        """
        super().__init__()
        self._read = read
        self._name_of = name_of
        self._change = change
        self._names: list[str] = []
        """Limits in the order of their lines."""

    def compose(self) -> ComposeResult:
        """Yield the workers, and the limits below them."""
        with Vertical(classes="dialog dialog-help"):
            yield Static("Workers", classes="dialog--title")
            with VerticalScroll(classes="dialog--list"):
                yield Static("", id="workers")
            yield Static(Content.styled("Limits", "$muted"), id="limits--head")
            yield OptionList(compact=True, markup=False, id="limits")
            yield Static("esc closes", classes="dialog--hint")

    def on_mount(self) -> None:
        """Update the lists."""
        self.query_one("#limits--head").display = self._limits.display = False
        self._update()
        self._timer = self.set_interval(_UPDATE_S, self._update)

    @property
    def _limits(self) -> OptionList:
        return self.query_one("#limits", OptionList)

    @work(exclusive=True, group="workers")
    async def _update(self) -> None:
        seen = await self._read()
        if seen is None:
            self._timer.stop()
            return
        shown = self.query_one("#workers", Static)
        shown.update(workers_content(seen.workers, self._name_of, shown.size.width))
        self._show_limits(seen.limits)

    def _show_limits(self, limits: Sequence[LimitUse]) -> None:
        options, names = self._limits, [use.name for use in limits]
        lines = limits_content(limits)
        if names != self._names:
            self._names = names
            options.clear_options().add_options(lines)
            options.highlighted = 0 if names else None
            self.query_one("#limits--head").display = options.display = bool(names)
            self.query_one(".dialog").set_class(bool(names), "-limits")
            if names and self._change is not None:
                options.focus()
                self.query_one(".dialog--hint", Static).update("↑ ↓ chooses · + - at once · < > a second · esc closes")
        else:
            for place, line in enumerate(lines):
                options.replace_option_prompt_at_index(place, line)

    def action_move(self, step: int) -> None:
        """Go to another limit."""
        if step > 0:
            self._limits.action_cursor_down()
        else:
            self._limits.action_cursor_up()

    @work()
    async def action_change(self, at_once: int, per_second: int) -> None:
        """Change the limit that is chosen."""
        place = self._limits.highlighted
        if place is not None and self._change is not None:
            await self._change(LimitStep(self._names[place], at_once, per_second))
            self._update()


def limits_content(limits: Sequence[LimitUse]) -> list[Content]:
    """Return a line per limit: its name, how much of it is used, its rate, and how many attempts wait for it."""
    names = [clip_middle(content(use.name).plain, _NAME) for use in limits]
    width = max(map(len, names), default=0)
    return [_limit_line(name.ljust(width), use) for name, use in zip(names, limits, strict=True)]


def _limit_line(name: str, use: LimitUse) -> Content:
    each = use.name.endswith("*")
    parts = [f"{use.held:,} held" if each or use.at_once is None else f"{use.held:,}/{use.at_once:,}"]
    if each and use.at_once is not None:
        parts.append(f"{use.at_once:,} each")
    if use.per_second is not None:
        parts.append(f"{use.per_second:,.6g}/s")
    if use.waiting:
        parts.append(f"{use.waiting:,} wait")
    return Content.assemble((name, "bold"), "  ", " · ".join(parts))


def workers_content(workers: Sequence[WorkerInfo] | None, name_of: Callable[[int], str], cells: int = 0) -> Content:
    """Return a line per worker: its name, tasks, CPU and memory. Tasks have the less room in `cells` (0: any)."""
    if workers is None:
        return Content.styled("They are in another program, and not seen from here.", "$muted")
    if not workers:
        return Content.styled("No workers.", "$muted")
    names = ["Worker", *(clip_middle(content(one.name).plain, _NAME) for one in workers)]
    held = ["Memory", *(_memory(one) for one in workers)]
    width, room = max(map(len, names)), _TASKS
    if cells:
        room = min(_TASKS, max(_FEWEST, cells - width - max(map(len, held)) - len(_GAP + _CPU + _GAP + _GAP)))
    told = ["Tasks", *(_tasks(one, name_of) for one in workers)]
    used = [_CPU, *("" if one.cpu is None else f"{one.cpu:.0f}%" for one in workers)]
    return Content("\n").join(
        Content.assemble(
            (name.ljust(width), "bold" if place else "$muted"),
            _GAP,
            (clip(tasks, room).ljust(room), "" if place and workers[place - 1].attempts else "$muted"),
            _GAP,
            (cpu.rjust(len(_CPU)), "" if place else "$muted"),
            _GAP,
            (memory, "$muted"),
        )
        for place, (name, tasks, cpu, memory) in enumerate(zip(names, told, used, held, strict=True))
    )


def _tasks(worker: WorkerInfo, name_of: Callable[[int], str]) -> str:
    names = [name_of(attempt_id) or "(empty)" for attempt_id in worker.attempts[:_NAMED]]
    more = len(worker.attempts) - len(names)
    return content(", ".join(names) + (f" and {more} more" if more else "")).plain if names else "idle"


def _memory(worker: WorkerInfo) -> str:
    if worker.memory is None:
        return ""
    held = f"{worker.memory >> 20:,} MiB"
    return held if worker.memory_limit is None else f"{held} of {worker.memory_limit >> 20:,}"
