"""Quick filters: the built-in ones, `slowest` (an order), and those that the user has saved by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pipeloom.settings.file import settings_path
from pipeloom.tui.history.bar import QUICK
from pipeloom.tui.services import AppServices
from pipeloom.tui.settings import save_filter
from pipeloom.tui.widgets.dialogs import ListDialog, NameDialog

SLOWEST_NAME: Final = "slowest"
_KEEP: Final = "\0keep"


@dataclass(frozen=True, slots=True)
class QuickFilters:
    """The quick filters, with the text of the filter line and the order that tell which of them are on."""

    saved: Mapping[str, str]
    """The user's own filters: name to text."""
    text: str
    """Text of the filter line."""
    is_slowest: bool
    """Whether the attempts are sorted by duration."""

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order of the bar."""
        return (*QUICK, SLOWEST_NAME, *self.saved)

    @property
    def active(self) -> tuple[str, ...]:
        """Names of the filters that are on."""
        held = set(self.text.split())
        names = (name for name, text in self._texts().items() if text and set(text.split()) <= held)
        return (*names, SLOWEST_NAME) if self.is_slowest else tuple(names)

    def toggled(self, name: str) -> str:
        """Return the filter line with the filter `name` added, or removed when it is on."""
        words, held = self._texts()[name].split(), self.text.split()
        rest = [word for word in held if word not in words]
        return " ".join(rest if set(words) <= set(held) else [*rest, *words])

    def rows(self) -> list[tuple[str, str]]:
        """Return the names with the lines of the list."""
        texts = self._texts()
        rows = [(name, f"{name}  ({texts.get(name, 'by duration')})") for name in self.names]
        return [*rows, (_KEEP, "Keep this filter under a name…")] if self.text else rows

    def _texts(self) -> dict[str, str]:
        return {**QUICK, **self.saved}


async def choose_filter(services: AppServices, quick: QuickFilters) -> str:
    """Ask for a quick filter and return its name; "" when there is none to add or remove."""
    name = await services.push_screen_wait(ListDialog("Filters", quick.rows(), quick.active, ""))
    if name == _KEEP:
        await _keep(services, quick.text)
        return ""
    return name


async def _keep(services: AppServices, text: str) -> None:
    """Ask for a name, and keep the filter under it in the settings."""
    name = await services.push_screen_wait(NameDialog("Keep the filter under which name?", text))
    if not name:
        return
    if name in (*QUICK, SLOWEST_NAME):
        services.tell(f"{name} is there already, for something else: choose another name.", problem=True)
        return
    try:
        save_filter(name, text)
    except OSError as error:
        services.tell(f"The settings cannot be written: {error.strerror}.", problem=True)
        return
    except ValueError:
        services.tell(f"Nothing was kept: add it to [filters] in {settings_path()} by hand.", problem=True)
        return
    services.keep_filter(name, text)
    services.tell(f"Kept as {name}.")
