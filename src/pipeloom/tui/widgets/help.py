"""The help: the keys that work now, and their effects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from pipeloom.tui.style.text import content
from pipeloom.tui.textual_compat.one_answer import OneAnswerScreen


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
        Binding("escape,q,question_mark,enter", "dismiss", "Close", tooltip="Close the help.", id="help.close"),
    ]

    def __init__(self, sections: Iterable[HelpSection], mistakes: Iterable[str] = ()) -> None:
        """Show `sections` in their order, after what is wrong with the settings."""
        super().__init__()
        self._sections = tuple(sections)
        self._mistakes = tuple(mistakes)

    def compose(self) -> ComposeResult:
        """Yield one scrolling list."""
        with Vertical(classes="dialog dialog-help"):
            yield Static("Keys", classes="dialog--title")
            with VerticalScroll(classes="dialog--list"):
                if self._mistakes:
                    yield Static("Mistakes in the settings", classes="dialog--section")
                for sentence in self._mistakes:
                    yield Static(content(sentence), classes="dialog--keys")
                for section in self._sections:
                    yield Static(content(section.title), classes="dialog--section")
                    yield Static(_keys_content(section.rows), classes="dialog--keys")
            yield Static("esc closes", classes="dialog--hint")


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
