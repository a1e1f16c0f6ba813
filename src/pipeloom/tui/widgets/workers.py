"""The workers: their place, their tasks, and their use of the machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static

from pipeloom.engine.executors.base import WorkerInfo
from pipeloom.tui.style.text import clip, clip_middle, content
from pipeloom.tui.textual_compat.one_answer import OneAnswerScreen

_UPDATE_S: Final = 1.0
_NAME: Final = 30
_TASKS: Final = 26
_NAMED: Final = 3


class WorkersDialog(ModalScreen[None], OneAnswerScreen[None]):
    """Shows the workers, updated until it is closed."""

    DEFAULT_CSS = """
    WorkersDialog {
        align: center middle;
    }
    """

    @dataclass
    class Read(Message):
        """The list of workers was read."""

        workers: Sequence[WorkerInfo]

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,W,enter", "dismiss", "Close", tooltip="Close the workers.", id="workers.close"),
    ]

    def __init__(self, read: Callable[[], Sequence[WorkerInfo]], name_of: Callable[[int], str]) -> None:
        """Show what `read` returns, which may block for a moment; `name_of` names the task of an attempt."""
        super().__init__()
        self._read = read
        self._name_of = name_of

    def compose(self) -> ComposeResult:
        """Yield one scrolling list."""
        with Vertical(classes="dialog dialog-help"):
            yield Static("Workers", classes="dialog--title")
            with VerticalScroll(classes="dialog--list"):
                yield Static("", id="workers")
            yield Static("esc closes", classes="dialog--hint")

    def on_mount(self) -> None:
        """Update the list."""
        self._update()
        self.set_interval(_UPDATE_S, self._update)

    @work(thread=True, exclusive=True, group="workers")
    def _update(self) -> None:
        self.post_message(self.Read(self._read()))

    @on(Read)
    def _show(self, event: Read) -> None:
        self.query_one("#workers", Static).update(workers_content(event.workers, self._name_of))


def workers_content(workers: Sequence[WorkerInfo], name_of: Callable[[int], str]) -> Content:
    """Return a line per worker: its name, tasks, CPU and memory."""
    if not workers:
        return Content.styled("No workers.", "$muted")
    width = max(6, *(len(_name(one)) for one in workers))
    head = f"{'Worker'.ljust(width)}  {'Tasks'.ljust(_TASKS)}  {'CPU':>5}  Memory"
    return Content("\n").join([Content.styled(head, "$muted"), *(_line(one, width, name_of) for one in workers)])


def _name(worker: WorkerInfo) -> str:
    return clip_middle(content(worker.name).plain, _NAME)


def _line(worker: WorkerInfo, width: int, name_of: Callable[[int], str]) -> Content:
    names = [name_of(attempt_id) or "(empty)" for attempt_id in worker.attempts[:_NAMED]]
    more = len(worker.attempts) - len(names)
    told = ", ".join(names) + (f" and {more} more" if more else "")
    tasks = clip(content(told).plain, _TASKS).ljust(_TASKS) if names else "idle".ljust(_TASKS)
    return Content.assemble(
        (_name(worker).ljust(width), "bold"),
        "  ",
        (tasks, "" if names else "$muted"),
        "  ",
        ("" if worker.cpu is None else f"{worker.cpu:.0f}%").rjust(5),
        "  ",
        (_memory(worker), "$muted"),
    )


def _memory(worker: WorkerInfo) -> str:
    if worker.memory is None:
        return ""
    held = f"{worker.memory >> 20:,} MiB"
    return held if worker.memory_limit is None else f"{held} of {worker.memory_limit >> 20:,}"
