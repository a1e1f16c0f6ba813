"""Filters that are held ready: the usual ones, and those that the user has kept under a name."""

from __future__ import annotations

from typing import Final

from textual import work

from pipeloom.store.read.paging import NEWEST, Sort
from pipeloom.tui.attempts.table_screen import TableScreen
from pipeloom.tui.history.bar import QUICK
from pipeloom.tui.settings import save_filter, settings_path
from pipeloom.tui.widgets.dialogs import Choice, ChoiceDialog, NameDialog

_SLOWEST: Final = Sort("duration_s")
_KEEP: Final = "\0keep"


class QuickFilters(TableScreen):
    """Puts a filter into the filter line by its name, or takes it out of it."""

    sort: Sort

    def choose_order(self, sort: Sort) -> None:
        """Show the attempts in another order."""

    def _known(self) -> dict[str, str]:
        return {**QUICK, **self.services.settings.filters}

    def active_filters(self) -> tuple[str, ...]:
        """Return the names of the filters that hold."""
        held = self.filter_bar.text.split()
        names = [name for name, text in self._known().items() if set(text.split()) <= set(held) and text]
        return (*names, "slowest") if self.sort == _SLOWEST else tuple(names)

    def action_quick(self, place: int) -> None:
        """Take the filter at a place of the bar, or drop it when it holds."""
        names = [*QUICK, "slowest", *self.services.settings.filters]
        if place < len(names):
            self._toggle(names[place])

    def _toggle(self, name: str) -> None:
        if name == "slowest":
            self.choose_order(NEWEST if self.sort == _SLOWEST else _SLOWEST)
            return
        words = self._known()[name].split()
        held = self.filter_bar.text.split()
        rest = [word for word in held if word not in words]
        self.filter_bar.set(" ".join(rest if set(words) <= set(held) else [*rest, *words]))

    @work
    async def action_filters(self) -> None:
        """Offer the filters by name."""
        active = self.active_filters()
        choices = [Choice("", "Leave it as it is")]
        for name in (*QUICK, "slowest", *self.services.settings.filters):
            told = self._known().get(name, "by duration")
            choices.append(Choice(name, f"{'drop ' if name in active else ''}{name}  ({told})", "-confirm"))
        if self.filter_bar.text:
            choices.append(Choice(_KEEP, "Keep this filter under a name…"))
        name = await self.services.push_screen_wait(ChoiceDialog("Filters", "", choices))
        if name == _KEEP:
            await self._keep(self.filter_bar.text)
        elif name:
            self._toggle(name)

    async def _keep(self, text: str) -> None:
        name = await self.services.push_screen_wait(NameDialog("Keep the filter under which name?", text))
        if not name:
            return
        if name in (*QUICK, "slowest"):
            self.services.tell(f"{name} is there already, for something else: choose another name.", problem=True)
            return
        try:
            save_filter(name, text)
        except OSError as error:
            self.services.tell(f"The settings cannot be written: {error.strerror}.", problem=True)
            return
        except ValueError:
            self.services.tell(f"Nothing was kept: add it to [filters] in {settings_path()} by hand.", problem=True)
            return
        self.services.keep_filter(name, text)
        self.services.tell(f"Kept as {name}.")
