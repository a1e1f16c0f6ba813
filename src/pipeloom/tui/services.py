"""What the screens use of the app: the run that is shown, the commands to it, and what belongs to the file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeVar, cast

from textual.dom import DOMNode
from textual.screen import Screen
from textual.signal import Signal

from pipeloom.code.version import Change
from pipeloom.engine.commands import EngineLoad, Refusal
from pipeloom.engine.control.client import ControlClient
from pipeloom.engine.engine import Engine
from pipeloom.engine.run.resume import Resume
from pipeloom.tui.live.board import Board
from pipeloom.tui.session.bridge import Delivery
from pipeloom.tui.session.file_monitor import FileChanged
from pipeloom.tui.session.questions import Questions
from pipeloom.tui.settings import Settings

T = TypeVar("T")


class ShownRun(Protocol):
    """The run that the live screen shows, and the clocks that it is shown by."""

    clock: Callable[[], float]
    """Unix seconds."""
    monotonic: Callable[[], float]
    """Monotonic seconds."""
    next_start: Callable[[], str]
    """Returns when a schedule starts the next run, in a few words; "" without one."""

    @property
    def board(self) -> Board:
        """The tasks of the run."""

    @property
    def commits(self) -> Signal[Delivery]:
        """Published when the board has taken what was committed."""

    @property
    def seconds(self) -> Signal[None]:
        """Published once a second: one for all, so that a screen at rest wakes the program no more often."""

    @property
    def is_viewer(self) -> bool:
        """Whether the run that is shown, or will be, belongs to another process."""

    @property
    def notice(self) -> str:
        """What the user should know about the file, for the header."""

    @property
    def key_pressed_s(self) -> float:
        """When the last key was pressed, in monotonic seconds."""


class EngineAccess(Protocol):
    """The commands to the engine of this process, or to that of another one."""

    questions: Questions
    """What may be asked of the engine without changing anything."""

    @property
    def read_only(self) -> bool:
        """Whether nothing may change the file."""

    @property
    def engine(self) -> Engine | None:
        """The engine of this process."""

    @property
    def controls(self) -> Engine | ControlClient | None:
        """What takes commands: the engine, or the client of another process; None: nothing does."""

    @property
    def known_load(self) -> EngineLoad | None:
        """The load of the other process's engine, as of its last answer."""

    async def ask(self, command: Callable[[], T]) -> T | None:
        """Return the answer to a command; None when it is refused or not answered, which a toast says."""

    def report(self, done: dict[str, int], refused: dict[int, Refusal]) -> None:
        """Say in one toast what a command did: tasks by fate, and why others were refused."""

    async def load(self, spec: str) -> Engine | None:
        """Import a pipeline and return an engine for it; None, and a toast, when that fails."""

    @property
    def code_change(self) -> Change | None:
        """What has changed on disk of the code that the engine gives to new attempts."""

    async def renew_code(self) -> bool:
        """Load the engine's code as it is on disk; False, and a toast, when that fails: nothing has changed then."""

    def run_again(self, engine: Engine, resume: Resume) -> object:
        """Run tasks of an earlier run as a new run of `engine`, not started yet, and show it live."""


class AppServices(ShownRun, EngineAccess, Protocol):
    """All that screens use of the app, apart from Textual's own."""

    ascii_only: bool
    """Whether only ASCII characters are drawn."""

    @property
    def db_path(self) -> Path:
        """The SQLite file."""

    @property
    def owner(self) -> str | None:
        """The other process that owns the file, by name."""

    @property
    def file_changes(self) -> Signal[FileChanged]:
        """Published when another process has changed the file."""

    @property
    def settings(self) -> Settings:
        """The user's settings."""

    def keep_filter(self, name: str, text: str) -> None:
        """Offer a filter by its name from now on."""

    def remember(self, name: str, value: str) -> None:
        """Keep a state of the screens for the next time that this file is opened."""

    def remembered(self, name: str) -> str:
        """Return what was kept; "" for nothing."""

    def tell(self, sentence: str, *, problem: bool = False, topic: str = "") -> None:
        """Show a toast, in place of the one on the same topic."""

    def push_screen_wait(self, screen: Screen[T]) -> Awaitable[T]:
        """Push a screen and wait for its answer; only in a worker."""

    def copy_to_clipboard(self, text: str) -> None:
        """Put text on the clipboard of the terminal."""


class ServicesGetter:
    """Gives a screen the services of its app: `services = ServicesGetter()` in the class."""

    def __get__(self, node: DOMNode, _class: type[DOMNode]) -> AppServices:
        return cast(AppServices, node.app)
