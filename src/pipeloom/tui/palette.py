"""The commands of the palette: every action, with its key."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.dom import DOMNode


class ActionCommands(Provider):
    """Offers the actions of screen and app that are enabled now."""

    async def discover(self) -> Hits:
        """Offer every action."""
        for binding, node in self._actions():
            yield DiscoveryHit(
                _title(binding), partial(self.app.run_action, binding.action, node), help=binding.tooltip
            )

    async def search(self, query: str) -> Hits:
        """Offer the actions that match."""
        matcher = self.matcher(query)
        for binding, node in self._actions():
            score = matcher.match(f"{_title(binding)} {binding.tooltip}")
            if score > 0:
                call = partial(self.app.run_action, binding.action, node)
                yield Hit(score, matcher.highlight(_title(binding)), call, help=binding.tooltip)

    def _actions(self) -> Iterator[tuple[Binding, DOMNode]]:
        """Yield each binding that has a tooltip, once, with its widget, screen or app."""
        seen: set[tuple[str, DOMNode]] = set()
        for active in self.screen.active_bindings.values():
            binding, node = active.binding, active.node
            if binding.tooltip and active.enabled and (binding.action, node) not in seen:
                seen.add((binding.action, node))
                yield binding, node


def _title(binding: Binding) -> str:
    return f"{binding.description}  ({binding.key_display or binding.key})"
