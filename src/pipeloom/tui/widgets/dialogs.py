"""Dialogs that ask, and the help."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Generic, Literal, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Button, Input, Static

from pipeloom.tui.style.text import content, lines
from pipeloom.tui.textual_compat.one_answer import OneAnswerScreen

T = TypeVar("T")

TITLE_LIMIT: Final = 160
NAME_LIMIT: Final = 40
STACK_LIMIT: Final = 16_000
_STACK_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """One answer: its value, label and button class."""

    value: T
    label: str
    kind: Literal["", "-confirm", "-destructive"] = ""


class ChoiceDialog(ModalScreen[T], OneAnswerScreen[T]):
    """Asks for one of several answers. The first is the safe one: it has the focus, and escape gives it."""

    DEFAULT_CSS = """
    ChoiceDialog {
        align: center middle;
    }
    """

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (60, "-wide")]  # noqa: RUF012 - not a ClassVar in Textual
    VERTICAL_BREAKPOINTS = [(0, "-short"), (20, "-tall")]  # noqa: RUF012 - not a ClassVar in Textual

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "refuse", "Back", tooltip="Close without doing it.", id="dialog.refuse"),
        Binding("left,up", "app.focus_previous", "Other", show=False, id="dialog.previous"),
        Binding("right,down", "app.focus_next", "Other", show=False, id="dialog.next"),
    ]

    def __init__(self, title: object, body: Content | str, choices: Sequence[Choice[T]]) -> None:
        """Ask `title`; `body` says what it is about. A string is shown as it is, never as markup."""
        super().__init__()
        self._title_line = content(title, limit=TITLE_LIMIT)
        self._body = body if isinstance(body, Content) else lines(body)
        self._choices = tuple(choices)

    def compose(self) -> ComposeResult:
        """Yield the safe button first, so that it has the focus."""
        with Vertical(classes="dialog"):
            yield Static(self._title_line, classes="dialog--title")
            with VerticalScroll(classes="dialog--body", can_focus=False):
                yield Static(self._body)
            with Horizontal(classes="dialog--buttons" if len(self._choices) < 3 else "dialog--buttons -stacked"):
                for number, choice in enumerate(self._choices):
                    yield Button(content(choice.label), id=f"choice-{number}", classes=choice.kind, compact=True)

    def action_refuse(self) -> None:
        """Give the safe answer."""
        self.dismiss(self._choices[0].value)

    @on(Button.Pressed)
    def _answer(self, event: Button.Pressed) -> None:
        self.dismiss(self._choices[int((event.button.id or "choice-0").removeprefix("choice-"))].value)


class ConfirmDialog(ChoiceDialog[bool]):
    """Asks before something is stopped or lost."""

    def __init__(
        self,
        title: object,
        body: Content | str,
        confirm_label: str,
        *,
        cancel_label: str = "Keep running",
        destructive: bool = True,
    ) -> None:
        """Ask `title`; `body` says what it is about. A string is shown as it is, never as markup."""
        kind: Literal["-confirm", "-destructive"] = "-destructive" if destructive else "-confirm"
        super().__init__(title, body, [Choice(False, cancel_label), Choice(True, confirm_label, kind)])  # noqa: FBT003


class NameDialog(ModalScreen[str], OneAnswerScreen[str]):
    """Asks for a name; "" when there is none."""

    DEFAULT_CSS = """
    NameDialog {
        align: center middle;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "refuse", "Back", tooltip="Close without doing it.", id="name.refuse"),
    ]

    def __init__(self, title: str, body: str) -> None:
        """Ask `title` about `body`."""
        super().__init__()
        self._title_line = content(title, limit=TITLE_LIMIT)
        self._body = lines(body)

    def compose(self) -> ComposeResult:
        """Yield the field."""
        with Vertical(classes="dialog"):
            yield Static(self._title_line, classes="dialog--title")
            yield Static(self._body, classes="dialog--body")
            yield Input(placeholder="name", max_length=NAME_LIMIT, compact=True)

    def action_refuse(self) -> None:
        """Answer with no name."""
        self.dismiss("")

    @on(Input.Submitted)
    def _answer(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip())


@dataclass(frozen=True, slots=True)
class HelpRow:
    """A key, its label and its effect."""

    key: str
    label: str
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class HelpSection:
    """Keys of one section."""

    title: str
    rows: tuple[HelpRow, ...]


class HelpDialog(ModalScreen[None], OneAnswerScreen[None]):
    """Lists keys and their effects."""

    DEFAULT_CSS = """
    HelpDialog {
        align: center middle;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "dismiss", "Close", tooltip="Close the help.", id="help.close"),
    ]

    def __init__(self, sections: Iterable[HelpSection]) -> None:
        """Show `sections` in their order."""
        super().__init__()
        self._sections = tuple(sections)

    def compose(self) -> ComposeResult:
        """Yield one scrolling list."""
        with Vertical(classes="dialog dialog-help"):
            yield Static("Keys", classes="dialog--title")
            with VerticalScroll(classes="dialog--list"):
                for section in self._sections:
                    yield Static(content(section.title), classes="dialog--section")
                    yield Static(_keys_content(section.rows), classes="dialog--keys")
            yield Static("esc closes", classes="dialog--hint")


class StackDialog(ModalScreen[None], OneAnswerScreen[None]):
    """Shows the stack of a task's code, updated until it is closed."""

    DEFAULT_CSS = """
    StackDialog {
        align: center middle;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,T", "dismiss", "Close", tooltip="Close the stack.", id="stack.close"),
    ]

    def __init__(self, name: str, read: Callable[[], str | None]) -> None:
        """Show what `read` returns for the task `name`."""
        super().__init__()
        self._task_name = name
        self._read = read

    def compose(self) -> ComposeResult:
        """Yield one scrolling text."""
        with Vertical(classes="dialog dialog-help"):
            yield Static(
                content(f"Where {self._task_name or '(empty)'} is now", limit=TITLE_LIMIT), classes="dialog--title"
            )
            with VerticalScroll(classes="dialog--list"):
                yield Static("", id="stack")
            yield Static("esc closes", classes="dialog--hint")

    def on_mount(self) -> None:
        """Update the text."""
        self._shown: str | None = ""
        self._update()
        self.set_interval(_STACK_S, self._update)

    def _update(self) -> None:
        stack = self._read()
        if stack != self._shown:
            self._shown = stack
            self.query_one("#stack", Static).update(lines(stack or "It is not running any more.", limit=STACK_LIMIT))


def _keys_content(rows: tuple[HelpRow, ...]) -> Content:
    """Return the rows with their keys and labels in columns."""
    keys = max((len(row.key) for row in rows), default=0)
    labels = max((len(row.label) for row in rows), default=0)
    return Content("\n").join(
        Content.assemble(
            (content(row.key).plain.rjust(keys), "bold $accent"),
            "  ",
            content(row.label).plain.ljust(labels),
            "  ",
            (content(row.sentence).plain, "$muted"),
        )
        for row in rows
    )


def help_sections(screen: Screen[object], title: str) -> list[HelpSection]:
    """Return the keys that work on `screen` now: its own under `title`, those of the focused widget, the app's."""
    groups: dict[str, dict[str, HelpRow]] = {title: {}, "Table and fields": {}, "Everywhere": {}}
    app = screen.app
    for active in screen.active_bindings.values():
        binding = active.binding
        if binding.system or not binding.tooltip:
            continue
        name = title if active.node is screen else "Everywhere" if active.node is app else "Table and fields"
        key = app.get_key_display(binding)
        known = groups[name].get(binding.action)
        shown = f"{known.key} {key}" if known else key
        groups[name][binding.action] = HelpRow(shown, binding.description, binding.tooltip)
    return [HelpSection(name, tuple(rows.values())) for name, rows in groups.items() if rows]
