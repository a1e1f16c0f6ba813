"""Paints what has changed and no more: a key moves the cursor by two lines, and two lines are all that is drawn."""

from __future__ import annotations

from collections.abc import Iterable

from textual._compositor import Compositor
from textual.geometry import Region
from textual.strip import Strip


class FrugalCompositor(Compositor):
    """Asks each widget only for its lines that are to be painted, and those that others hide for none.

    Textual's own asks every widget that touches the place for all of its lines, which is most of what a key costs. Here
    a widget in front has to paint all of its region, as every widget does whose lines are as wide as it is.
    """

    def _get_renders(self, crop: Region | None = None) -> Iterable[tuple[Region, Region, list[Strip]]]:
        seen: list[Region] = []
        for widget, (region, clip) in self.visible_widgets.items():  # front to back
            part = region.intersection(clip)
            if crop is not None:
                part = part.intersection(Region(part.x, crop.y, part.width, crop.height))
            if part and not any(front.contains_region(part) for front in seen):
                seen.append(part)
                yield part, part, widget.render_lines(part.translate(-region.offset))
