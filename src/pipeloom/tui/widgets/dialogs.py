"""Dialogs that ask, and the stack of a task."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Generic, Literal, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import Button, Input, OptionList, Static

from pipeloom.tui.style.text import content, lines
from pipeloom.tui.textual_compat.one_answer import OneAnswerScreen
from pipeloom.tui.widgets.toasts import ROOMY

T = TypeVar("T")

TITLE_LIMIT: Final = 160
NAME_LIMIT: Final = 40
STACK_LIMIT: Final = 16_000
_STACK_S: Final = 0.5
_FOLLOW_S: Final = 0.25
"""Seconds between two looks at what a question is about."""


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """One answer: its value, label and button class, and the key that gives it."""

    value: T
    label: str
    kind: Literal["", "-confirm", "-destructive"] = ""
    key: str = ""


class _AnswerButton(Button):
    """A button that knows whether it was pressed by key."""

    by_key = False

    def action_press(self) -> None:
        """Press it, for `enter`."""
        self.by_key = True
        super().action_press()


class ChoiceDialog(ModalScreen[T], OneAnswerScreen[T]):
    """Asks for one of several answers. The first is the safe one: it has the focus, and escape gives it.

    The key that has opened the question gives the last answer.
    """

    DEFAULT_CSS = """
    ChoiceDialog {
        align: center middle;
    }
    """

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (60, "-wide")]  # noqa: RUF012 - not a ClassVar in Textual
    VERTICAL_BREAKPOINTS = [(0, "-short"), (20, "-tall"), (ROOMY, "-roomy")]  # noqa: RUF012 - not a ClassVar in Textual

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "refuse", "Back", tooltip="Close without doing it.", id="dialog.refuse"),
        Binding("left,up", "app.focus_previous", "Other", show=False, id="dialog.previous"),
        Binding("right,down", "app.focus_next", "Other", show=False, id="dialog.next"),
    ]

    def __init__(
        self,
        title: str | Callable[[], str],
        body: Content | str | Callable[[], Content | str],
        choices: Sequence[Choice[T]],
        *,
        action: str = "",
        default: int = 0,
    ) -> None:
        """Ask `title`; `body` says what it is about. A string is shown as it is, never as markup.

        Functions are called again while the dialog is open. `action` is the action of the screen below that asks:
        its keys give the last answer. Choice number `default` has the focus.
        """
        super().__init__()
        self._title_now = title if callable(title) else lambda: title
        self._body_now = body if callable(body) else lambda: body
        self._follows = callable(title) or callable(body)
        self._choices = tuple(choices)
        self._action = action
        self._default = default

    def compose(self) -> ComposeResult:
        """Yield the safe button first, so that it has the focus."""
        openers = sorted(self._openers().values(), key=lambda binding: not binding.show)  # the footer's own first
        opener = [self.app.get_key_display(binding) for binding in openers][:1]
        with Vertical(classes="dialog"):
            yield Static(self._title_content(), classes="dialog--title")
            with VerticalScroll(classes="dialog--body", can_focus=False):
                yield Static(self._body_content())
            with Horizontal(classes="dialog--buttons" if len(self._choices) < 3 else "dialog--buttons -stacked"):
                for number, choice in enumerate(self._choices):
                    keys = [choice.key] * bool(choice.key) + opener * (number == len(self._choices) - 1)
                    label = f"{choice.label} ({', '.join(keys)})" if keys else choice.label
                    yield _AnswerButton(content(label), id=f"choice-{number}", classes=choice.kind, compact=True)

    def on_mount(self) -> None:
        """Focus the default, and keep up with what the question is about."""
        if self._default:
            self.query_one(f"#choice-{self._default}", Button).focus()
        if self._follows:
            self.set_interval(_FOLLOW_S, self._update)

    def _update(self) -> None:
        self.query_one(".dialog--title", Static).update(self._title_content())
        self.query_one(".dialog--body Static", Static).update(self._body_content())

    def _title_content(self) -> Content:
        return content(self._title_now(), limit=TITLE_LIMIT)

    def _body_content(self) -> Content:
        body = self._body_now()
        return body if isinstance(body, Content) else lines(body)

    def _openers(self) -> dict[str, Binding]:
        """Return the keys of the action that asks, as they are set on the screen below."""
        stack = self.app.screen_stack
        if not self._action or self not in stack[1:]:
            return {}
        bindings = stack[stack.index(self) - 1].active_bindings
        return {key: active.binding for key, active in bindings.items() if active.binding.action == self._action}

    def on_key(self, event: Key) -> None:
        """Give the answer of a key; keys may come before there is a button."""
        keys = {choice.key: choice.value for choice in self._choices if choice.key}
        keys |= dict.fromkeys(self._openers(), self._choices[-1].value)
        if event.key in keys:
            event.stop()
            self.dismiss(keys[event.key])
        elif event.key == "enter" and self.focused is None:
            self._refuse_aloud()

    def action_refuse(self) -> None:
        """Give the safe answer."""
        self.dismiss(self._choices[0].value)

    def _refuse_aloud(self) -> None:
        """Give the safe answer, which `enter` may not have meant, and say so where it means no."""
        if self._choices[0].value is False and self.is_active:
            self.notify("Nothing was done: y answers yes.", severity="warning", markup=False)
        self.action_refuse()

    @on(Button.Pressed)
    def _answer(self, event: Button.Pressed) -> None:
        number = int((event.button.id or "choice-0").removeprefix("choice-"))
        if number == 0 and isinstance(event.button, _AnswerButton) and event.button.by_key:
            self._refuse_aloud()
        else:
            self.dismiss(self._choices[number].value)


class ConfirmDialog(ChoiceDialog[bool]):
    """Asks before something is stopped or lost; `n` and `y` answer, and the key of the action that asks is a yes."""

    def __init__(
        self,
        title: str | Callable[[], str],
        body: Content | str | Callable[[], Content | str],
        confirm_label: str,
        *,
        cancel_label: str = "Keep running",
        destructive: bool = True,
        action: str = "",
    ) -> None:
        """Ask `title`; `body` says what it is about. The arguments are those of `ChoiceDialog`."""
        kind: Literal["-confirm", "-destructive"] = "-destructive" if destructive else "-confirm"
        no, yes = Choice(False, cancel_label, key="n"), Choice(True, confirm_label, kind, "y")  # noqa: FBT003
        super().__init__(title, body, [no, yes], action=action)


class ListDialog(ModalScreen[T], OneAnswerScreen[T]):
    """Offers a plain list, with a mark at what holds now. Escape answers what is given for it."""

    DEFAULT_CSS = """
    ListDialog {
        align: center middle;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "refuse", "Back", tooltip="Leave it as it is.", id="list.refuse"),
        Binding("j", "move(1)", "Down", tooltip="Go to the next line.", id="list.down", show=False),
        Binding("k", "move(-1)", "Up", tooltip="Go to the line before.", id="list.up", show=False),
    ]

    def __init__(self, title: str, rows: Sequence[tuple[T, str]], present: Collection[T], unchanged: T) -> None:
        """Offer `rows`, values with their lines; those in `present` are marked, and escape answers `unchanged`."""
        super().__init__()
        self._title_line = content(title, limit=TITLE_LIMIT)
        self._rows = tuple(rows)
        self._present = present
        self._unchanged = unchanged

    def compose(self) -> ComposeResult:
        """Yield the list, with the cursor on the first line that is marked."""
        marked = [value in self._present for value, _ in self._rows]
        with Vertical(classes="dialog"):
            yield Static(self._title_line, classes="dialog--title")
            options = OptionList(
                *(
                    content(f"{'●' if is_marked else ' '} {line}")
                    for is_marked, (_, line) in zip(marked, self._rows, strict=True)
                ),
                compact=True,
                markup=False,
            )
            options.highlighted = marked.index(True) if True in marked else 0
            yield options
            yield Static("enter chooses · esc leaves it as it is", classes="dialog--hint")

    def action_refuse(self) -> None:
        """Change nothing."""
        self.dismiss(self._unchanged)

    def action_move(self, step: int) -> None:
        """Go to another line."""
        options = self.query_one(OptionList)
        if step > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()

    @on(OptionList.OptionSelected)
    def _answer(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._rows[event.option_index][0])


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
            yield Static("enter keeps it · esc goes back", classes="dialog--hint")

    def action_refuse(self) -> None:
        """Answer with no name."""
        self.dismiss("")

    @on(Input.Submitted)
    def _answer(self, event: Input.Submitted) -> None:
        name = event.value.strip()
        if name:
            self.dismiss(name)
        else:
            self.query_one(".dialog--hint", Static).update(content("Type a name · esc goes back", "$status-error"))


class StackDialog(ModalScreen[None], OneAnswerScreen[None]):
    """Shows the stack of a task's code, updated until it is closed."""

    DEFAULT_CSS = """
    StackDialog {
        align: center middle;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,T,enter", "dismiss", "Close", tooltip="Close the stack.", id="stack.close"),
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
