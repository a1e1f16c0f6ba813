"""The header's lines: the state of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from textual.content import Content
from textual.reactive import reactive
from textual.style import Style
from textual.widget import Widget

from pipeloom.status import SETTLED, RunStatus, Status
from pipeloom.tui.style import format as fmt
from pipeloom.tui.style.glyphs import badge, spark
from pipeloom.tui.style.text import content
from pipeloom.tui.widgets.bar import parts_content
from pipeloom.tui.widgets.line_layout import Part, line

SPARK_WIDTH: Final = 12
_ORDER: Final = (
    Status.RUNNING,
    Status.CANCELLING,
    Status.QUEUED,
    Status.RETRYING,
    Status.DONE,
    Status.ERROR,
    Status.CANCELLED,
    Status.INTERRUPTED,
    Status.SKIPPED,
)
_BAD: Final = frozenset({Status.ERROR, Status.INTERRUPTED})
# Shown at zero too, so that the line does not move when the first task gets there.
_ALWAYS: Final = frozenset({Status.RUNNING, Status.QUEUED, Status.DONE, Status.ERROR})


@dataclass(frozen=True, slots=True)
class Spent:
    """The workers' recent time, in shares of 1."""

    working: float = 0.0
    writer: float = 0.0
    """Share of waiting for the writer."""
    backoff: float = 0.0
    """Share of waiting for retries that are not due."""
    idle: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderState:
    """The state that a `RunHeader` shows. Equal states are drawn once."""

    pipeline: str
    file: str
    run_id: int | None = None
    params: str = ""
    """The run's parameters, as they are typed."""
    few: str = ""
    """The options that try a few of the tasks; "" for a run of all."""
    executor: str = ""
    status: RunStatus | None = None
    """The run's status; None before it has started."""
    counts: Mapping[Status, int] = field(default_factory=dict)
    """Tasks by the status of their latest attempt."""
    unchanged: int = 0
    """Tasks that the run leaves out, because nothing has changed."""
    tasks_per_s: float | None = None
    history: tuple[float, ...] = ()
    """Tasks that ended in each of the last seconds, oldest first."""
    messages_per_s: float | None = None
    commits_per_s: float | None = None
    commit_s: float | None = None
    """Seconds of the last commit."""
    backlog: int = 0
    """Messages that wait for the writer."""
    spent: Spent | None = None
    busy: int = 0
    workers: int = 0
    lost: int = 0
    """Workers lost to abandoned tasks."""
    paused: bool = False
    elapsed_s: float | None = None
    eta_s: float | None = None
    grows: bool = False
    """Whether tasks find others: the total and the time left are the least."""
    owner_pid: int | None = None
    """The process of the run, when that is another one."""
    controls: bool = False
    """Whether the keys act on the run of that process."""
    code: str = ""
    """What has changed of the pipeline's files since they were loaded."""
    next_start: str = ""
    """When a schedule starts the next run."""
    notice: str = ""
    """A problem, such as a locked file; shown before all else."""

    @property
    def total(self) -> int:
        """Number of tasks."""
        return sum(self.counts.values())

    @property
    def settled(self) -> int:
        """Number of tasks that have come to an end; one that was interrupted has not."""
        return sum(self.counts.get(status, 0) for status in SETTLED)


def viewer_role(*, controls: bool) -> str:
    """Return the word for a screen that shows the run of another process."""
    return "CONTROL" if controls else "VIEWER"


class RunHeader(Widget):
    """Name, progress, counts and load of a run, one line each; narrow lines lose parts, never their shape."""

    DEFAULT_CSS = """
    RunHeader {
        height: 3;
        padding: 0 1;
    }
    """

    auto_links = False  # the counts can be clicked, and do not look like links

    state: reactive[HeaderState | None] = reactive(None)
    """The state; None leaves the lines empty. Setting an equal one costs no repaint."""
    ascii_only: reactive[bool] = reactive(False)  # noqa: FBT003
    """Whether only ASCII is drawn."""

    def render(self) -> Content:
        """Draw the state in the present width."""
        if self.state is None:
            return Content("")
        return render_header(self.state, self.content_size.width, self.content_size.height, ascii_only=self.ascii_only)


def render_header(state: HeaderState, width: int, height: int = 3, *, ascii_only: bool = False) -> Content:
    """Return the lines, each `width` cells: the most important `height` of them."""
    lines = (_title, _progress, _counts, _load)[:height]
    return Content("\n").join(draw(state, width, ascii_only) for draw in lines)


def _title(state: HeaderState, width: int, ascii_only: bool) -> Content:
    dot = " · " if not ascii_only else " - "
    glyph = badge(state.status, ascii_only=ascii_only) if state.status else badge(Status.QUEUED, ascii_only=ascii_only)
    name = Content.assemble((glyph.glyph, glyph.variable), " ", content(state.pipeline, "bold", limit=40))
    role = viewer_role(controls=state.controls)
    left = [
        Part(name, 9),
        Part(content(state.file, "$muted", limit=60), 4),
        Part(Content.styled("" if state.run_id is None else f"run {state.run_id}", "$muted"), 5, dot),
        Part(content(state.few, "bold $warning", limit=60), 8, dot),
        Part(content(state.params, "$muted", limit=80), 2, dot),
        Part(content(state.executor, "$muted", limit=20), 1, dot),
        Part(content("" if state.owner_pid is None else f"{role}{dot}pid {state.owner_pid}", "bold $warning"), 10),
    ]
    word = "paused" if state.paused else _word(state)
    clock = fmt.stopwatch(state.elapsed_s)
    remaining = fmt.eta(state.eta_s)
    right = [
        Part(content(state.notice, "bold $warning", limit=min(80, max(1, width - 4))), 12),
        Part(content(state.code, "bold $accent", limit=60), 11, dot),
        Part(Content(f"{word} {clock}".rstrip()), 7, dot),
        Part(
            Content.styled(f"eta {'at least ' if state.grows else ''}{remaining}" if remaining else "", "$muted"),
            3,
            dot,
        ),
        Part(content(state.next_start, "$accent", limit=30), 6, dot),
    ]
    return line(left, right, width)


def _word(state: HeaderState) -> str:
    if state.status is not None:
        return state.status.value
    return "waiting" if state.next_start else "starting"


def _progress(state: HeaderState, width: int, ascii_only: bool) -> Content:
    done = state.settled / state.total if state.total else float(state.status is RunStatus.DONE)
    history = spark(state.history, SPARK_WIDTH, ascii_only=ascii_only) if width >= 100 else ""
    numbers = [
        Part(
            Content.styled(f"{fmt.count(state.settled)}/{fmt.count(state.total)}{'+' if state.grows else ''}", "bold"),
            9,
        ),
        Part(Content.styled(fmt.percent(done).rjust(4), "bold"), 8),
        Part(
            Content.styled(fmt.rate(state.tasks_per_s, "tasks").rjust(11), "$muted") if width >= 60 else Content(""), 5
        ),
        Part(Content.styled(history, "$status-running"), 3, " "),
    ]
    right = line(
        [], numbers, sum(part.content.cell_length + len(part.before) for part in numbers if part.content.plain)
    )
    room = max(0, width - right.cell_length)
    ends = [
        (state.counts.get(status, 0) / state.total, f"$status-{status}", "#" if status is Status.DONE else "x")
        for status in _ORDER
        if status in SETTLED and state.total
    ]
    return (parts_content(ends, room, ascii_only=ascii_only) + right).truncate(width)


def _counts(state: HeaderState, width: int, ascii_only: bool) -> Content:
    dot = " · " if not ascii_only else " - "
    lost = f"{state.lost} stuck" if state.lost else ""
    right = [
        Part(Content.styled(f"workers {state.busy}/{state.workers}" if state.workers else "", "$muted"), 10),
        Part(Content.styled(lost, "$warning"), 50, dot),
        Part(Content.styled(fmt.rate(state.messages_per_s, "msg"), "$muted"), 1, dot),
    ]
    same = [Part(content(f"= {fmt.count(state.unchanged)} unchanged" if state.unchanged else "", "$muted"), 19)]
    left = [*(_count(state, status, words=True, ascii_only=ascii_only) for status in _shown(state)), *same]
    beside = right[0].content.cell_length + 2 if state.unchanged else 0  # one more count leaves no room for the workers
    if sum(part.content.cell_length + len(part.before) for part in left) + beside > width:
        left = [*(_count(state, status, words=False, ascii_only=ascii_only) for status in _shown(state)), *same]
    return line(left, right, width)


def _load(state: HeaderState, width: int, ascii_only: bool) -> Content:
    """Return the shares of the workers' time, and the writer's load."""
    dot = " · " if not ascii_only else " - "
    latency = f" of {max(1, round(state.commit_s * 1000))} ms" if state.commit_s is not None else ""
    right = [
        Part(content(f"queue {fmt.count(state.backlog)}", "$muted"), 2),
        Part(
            content(f"{fmt.rate(state.commits_per_s, 'commits')}{latency}" if state.commits_per_s else "", "$muted"),
            3,
            dot,
        ),
    ]
    if state.spent is None:
        is_ours = state.status is RunStatus.RUNNING and state.owner_pid is None
        return line([], right if is_ours else [], width)
    shares = (
        ("working", state.spent.working, "$status-running"),
        ("waiting for the writer", state.spent.writer, "$status-cancelling"),
        ("backing off", state.spent.backoff, "$status-retrying"),
        ("idle", state.spent.idle, "$muted"),
    )
    left = [
        Part(
            content(f"{name} {fmt.percent(share)}", style if share >= 0.005 else "$faint"),
            20 - place,
            dot if place else "  ",
        )
        for place, (name, share, style) in enumerate(shares)
    ]
    return line([Part(content("time", "$muted"), 1), *left], right, width)


def _shown(state: HeaderState) -> list[Status]:
    return [status for status in _ORDER if state.counts.get(status) or status in _ALWAYS]


def _count(state: HeaderState, status: Status, *, words: bool, ascii_only: bool) -> Part:
    """Return one count; failures stay longest on a narrow line, zeros go first."""
    number = state.counts.get(status, 0)
    shown = badge(status, ascii_only=ascii_only)
    text = f"{shown.glyph} {fmt.count(number)}" + (f" {shown.word}" if words else "")
    rank = (20 if number else 11) + (10 if status in _BAD else 0) + len(_ORDER) - _ORDER.index(status)
    click = Style.from_meta({"@click": f"screen.only('{status}')"})
    return Part(Content.styled(text, shown.variable if number else "$faint").stylize(click), rank)
