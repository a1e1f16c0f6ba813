"""The screen that is shown when there is neither a run nor a file."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from pipeloom.tui.services import ServicesGetter
from pipeloom.tui.style.text import content
from pipeloom.tui.widgets.key_footer import KeyFooter


class StartScreen(Screen[None]):
    """Says what to do."""

    services = ServicesGetter()

    def compose(self) -> ComposeResult:
        """Show one page of text."""
        name = self.services.db_path.name
        yield Static(
            Content("\n").join(
                [
                    content(f"There is no {name} yet.", "bold"),
                    Content(""),
                    Content("A pipeline creates it:"),
                    content(f"pipeloom-tui {name} pipeline.py", "$status-running"),
                    Content(""),
                    Content("Or look around first, with forty tasks that do no harm:"),
                    content(f"pipeloom-tui {name} --demo", "$status-running"),
                    Content(""),
                    Content("q quits"),
                ]
            ),
            classes="notice",
        )
        yield KeyFooter()
