"""The pipelines of a schedule without a screen: each run has their files as they are when it starts."""

from __future__ import annotations

from collections.abc import Sequence

from pipeloom.cli.common import note
from pipeloom.code.version import Watch, version_of
from pipeloom.engine.code.caches import forget_classes
from pipeloom.environment.script import scripts_of
from pipeloom.loader import file_named, reload_pipeline
from pipeloom.pipeline import Pipeline
from pipeloom.text import clean


class LoadedPipelines:
    """Pipelines that are run in turn; those whose files have changed are loaded again before the next turn."""

    def __init__(self, pipelines: Sequence[Pipeline]) -> None:
        self.now = [*pipelines]
        """As they were loaded last."""

    def renew(self) -> None:
        """Load those again whose files have changed, and say so.

        Raises `UsageError` for one that cannot be loaded: it stays as it is, and the next call tries again.
        """
        for place, pipeline in enumerate(self.now):
            version = version_of(pipeline)
            if version.spec is None or version.is_on_disk():
                continue
            if (file := file_named(version.spec)) is not None and (scripts := scripts_of([file])):
                from pipeloom.environment.enter import refuse_unmet  # few files need it

                refuse_unmet(scripts[0])
            change = Watch(version).look()
            reload_pipeline(version, lambda new, _, place=place: self._take(place, new))  # type: ignore[misc]
            forget_classes()
            what = "The files have changed" if change is None else change.told
            loaded = version_of(self.now[place])
            note(f"{clean(what, 200)}: {clean(self.now[place].name, 60)} is loaded again (code {loaded.hash}).")

    def _take(self, place: int, pipeline: Pipeline) -> None:
        self.now[place] = pipeline
