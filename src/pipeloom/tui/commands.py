"""Every action in the palette, with its key."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider


class ActionCommands(Provider):
    """Offers what the screen and the app can do now; what the row under the cursor does not allow is left out."""

    async def discover(self) -> Hits:
        """Offer everything."""
        for binding, action in self._actions():
            yield DiscoveryHit(_title(binding), partial(self.app.run_action, action, self.screen), help=binding.tooltip)

    async def search(self, query: str) -> Hits:
        """Offer what matches."""
        matcher = self.matcher(query)
        for binding, action in self._actions():
            score = matcher.match(f"{_title(binding)} {binding.tooltip}")
            if score > 0:
                call = partial(self.app.run_action, action, self.screen)
                yield Hit(score, matcher.highlight(_title(binding)), call, help=binding.tooltip)

    def _actions(self) -> Iterator[tuple[Binding, str]]:
        """Yield each binding that has a sentence, once, with its action named from the screen's point of view."""
        seen: set[str] = set()
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if not binding.tooltip or binding.action in seen or not active.enabled:
                continue
            if active.node is self.screen or active.node is self.app:
                seen.add(binding.action)
                plain = binding.action.removeprefix("app.").removeprefix("screen.")
                yield binding, f"{'app' if active.node is self.app else 'screen'}.{plain}"


def _title(binding: Binding) -> str:
    return f"{binding.description}  ({binding.key_display or binding.key})"
