"""What is remembered of the users' classes: it goes with them."""

from __future__ import annotations

from pipeloom.engine.worker import by_value, weight
from pipeloom.tables import sources


def forget_classes() -> None:
    """Forget what is known of classes; it is found out again for those that are still in use."""
    for cache in (*by_value.CACHES, *weight.CACHES, *sources.CACHES):
        cache.cache_clear()
