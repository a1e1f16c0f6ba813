"""The code that new attempts run: which function, which messages, which policy. Guarded by the run's lock."""

from __future__ import annotations

from collections import Counter

from pipeloom.code.pickles import translated
from pipeloom.code.version import Version
from pipeloom.engine.attempt import Attempt
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.run.attempts import AttemptState
from pipeloom.engine.run.tasks import handed_out
from pipeloom.engine.schedule.dependencies import Results
from pipeloom.pipeline import Pipeline, RetryPolicy
from pipeloom.secrets import from_environment, known_secrets


class CurrentCode:
    """The pipeline and the version that new attempts are given; and how many attempts each version has open."""

    def __init__(self, pipeline: Pipeline, version: Version, options: EngineOptions) -> None:
        self._options = options
        self._open: Counter[Version] = Counter()
        self._first = version
        self._limits = frozenset(pipeline.limits)
        self.use(pipeline, version)

    def use(self, pipeline: Pipeline, version: Version) -> None:
        """Give new attempts this code; raises `UsageError` for a secret that is not there."""
        from_environment(pipeline.secrets)
        self._secrets = known_secrets()
        self.pipeline = pipeline
        self.version = version
        self._message_types = frozenset(pipeline.handlers)

    @property
    def policy(self) -> RetryPolicy:
        """When a failed attempt is followed by another."""
        return self._options.retry or self.pipeline.retry

    @property
    def time_limit(self) -> float | None:
        """Seconds that an attempt may run, unless its task says otherwise."""
        return self._options.timeout or self.pipeline.timeout

    def begin(self, state: AttemptState, earlier: str | None, results: Results, known_key: str | None) -> Attempt:
        """Return an attempt as an executor takes it; `earlier` is what its task goes on from, as JSON."""
        task, own = handed_out(state.given), state.task.worker_fn
        if self.version is not self._first:  # its classes and function are of the code that has listed the tasks
            task, own = translated(task, self.version), translated(own, self.version)
        state.version = self.version
        self._open[self.version] += 1
        return Attempt(
            state.id,
            state.number,
            task,
            own or self.pipeline.worker_fn,
            self._message_types,
            self.policy.retry_on,
            earlier,
            results,
            self._limits,
            known_key,
            self.version,
            self._secrets,
        )

    def end(self, state: AttemptState) -> Version | None:
        """Note that an attempt's end is on disk; return its version if that is an old one that no other attempt has."""
        version, state.version = state.version, None
        if version is None:
            return None
        self._open[version] -= 1
        if self._open[version]:
            return None
        del self._open[version]
        return None if version is self.version else version

    def is_open(self, version: Version) -> bool:
        """Tell whether an attempt of the version is open."""
        return version in self._open
