"""Limits as a pipeline declares them and tasks name them, and the wait that a worker asks for."""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from pipeloom import Limit, Pipeline, RetryAfter, TaskDef
from pipeloom.engine.run.tasks import entered
from pipeloom.errors import UsageError
from pipeloom.limits import retry_after
from pipeloom.limits.limit import limit_of
from pipeloom.pipeline import list_tasks

NOW = datetime(2026, 10, 21, 7, 27, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "A Limit needs a number: Limit"),
        ({"at_once": 0}, "at_once must be a whole number from 1 to 1,000,000, not 0"),
        ({"at_once": True}, "not True"),
        ({"at_once": 1.5}, "not 1.5"),
        ({"at_once": "2"}, "not '2'"),
        ({"per_second": 0}, "per_second must be a whole number from 1 to 10,000, or a fraction between 0 and 1"),
        ({"per_second": -1.0}, "not -1.0"),
        ({"per_second": 2.5}, "not 2.5"),
        ({"per_second": math.nan}, "not nan"),
        ({"per_second": math.inf}, "not inf"),
        ({"per_second": 1e-320}, "not 1e-320"),
        ({"per_second": True}, "not True"),
        ({"per_second": 20_000}, "not 20000"),
    ],
)
def test_wrong_numbers_are_refused_with_a_sentence(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        Limit(**given)
    assert said in str(raised.value)
    assert str(raised.value).endswith((".", "both."))


@pytest.mark.parametrize(
    ("rate", "starts", "seconds"), [(5, 5, 1.0), (5.0, 5, 1.0), (1, 1, 1.0), (0.2, 1, 5.0), (None, 1, 0.0)]
)
def test_a_rate_is_so_many_starts_in_so_many_seconds(rate: float | None, starts: int, seconds: float) -> None:
    limit = Limit(1, rate)
    assert (limit.starts, limit.seconds) == (starts, seconds)


def test_a_name_means_itself_or_the_longest_prefix() -> None:
    limits = ["api", "host:*", "host:a.*", "host:b.org", "*"]
    assert limit_of("api", limits) == "api"
    assert limit_of("host:x.org", limits) == "host:*"
    assert limit_of("host:a.org", limits) == "host:a.*"
    assert limit_of("host:b.org", limits) == "host:b.org"
    assert limit_of("other", limits) == "*"
    assert limit_of("other", limits[:-1]) is None
    assert limit_of("host:*", limits) is None, "a task names a value"


@pytest.mark.parametrize(
    ("limits", "task", "said"),
    [
        ({}, {"limits": ["api"]}, "Task 't' names the limit 'api'. The pipeline has no limits: give it some"),
        ({"api": Limit(1)}, {"limits": ["apo"]}, "Task 't' names the limit 'apo'. The pipeline has these: api."),
        ({"host:*": Limit(1)}, {"limits": ["host:*"]}, "names the limit 'host:*'"),
        ({"api": Limit(1)}, {"limits": "api"}, """limits must be a list of names such as ["api"], not 'api'"""),
        ({"api": Limit(1)}, {"limits": [1]}, "limits must be a list of names"),
        ({}, {"priority": 1.5}, "Task 't': priority must be a whole number, not 1.5"),
        ({}, {"priority": True}, "priority must be a whole number, not True"),
        ({}, {"priority": 1 << 70}, "priority must be a whole number"),
        ([], {}, "limits must be a dict such as"),
        ({"a*b": Limit(1)}, {}, "may end in *"),
        ({"": Limit(1)}, {}, "needs a name"),
        ({"api": 2}, {}, "limits['api'] must be a Limit, such as Limit(2), not 2"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(limits: Any, task: dict[str, Any], said: str) -> None:
    pipeline = Pipeline("bad", [TaskDef("t", **task)], lambda task, q: None, limits=limits)
    with pytest.raises(UsageError) as raised:
        list_tasks(pipeline, {})
    assert said in str(raised.value)


@dataclass
class Job:
    """A task of the user's own."""

    task_id: int
    name: str
    limits: Any = ()
    priority: Any = 0


def test_an_object_of_the_users_may_have_limits_and_a_priority_or_mean_other_things_by_them() -> None:
    tasks = [Job(1, "one", ["api", "api"], 7), Job(2, "two", "narrow", "high"), Job(3, "three", None, None)]
    pipeline = Pipeline("jobs", tasks, lambda task, q: None, limits={"api": Limit(1)})
    read = [entered(task) for task in list_tasks(pipeline, {}).tasks]
    assert [(task.limits, task.priority) for task in read] == [(("api",), 7), ((), 0), ((), 0)]
    with pytest.raises(UsageError, match="names the limit 'other'"):
        list_tasks(Pipeline("jobs", [Job(4, "four", ["other"])], lambda task, q: None), {})


def test_a_task_keeps_its_limits_as_a_tuple() -> None:
    names = ["api"]
    task = TaskDef("t", limits=names)
    names.append("more")
    assert task.limits == ("api",)
    assert hash(task) == hash(TaskDef("t", limits=("api",)))


# -- RetryAfter --------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry_after, "utc_now", lambda: NOW)


@pytest.mark.parametrize(
    ("made", "seconds", "said"),
    [
        (lambda: RetryAfter(3.0), 3.0, "retry after 3 s"),
        (lambda: RetryAfter(0), 0.0, "retry after 0 s"),
        (lambda: RetryAfter(0.25), 0.25, "retry after 0.25 s"),
        (lambda: RetryAfter(86_400), 86_400.0, "retry after 86,400 s"),
        (lambda: RetryAfter(at=NOW + timedelta(minutes=2)), 120.0, "retry after 120 s"),
        (lambda: RetryAfter(at=NOW - timedelta(minutes=2)), 0.0, "retry after 0 s"),
        (lambda: RetryAfter(at=(NOW + timedelta(minutes=2)).astimezone().replace(tzinfo=None)), 120.0, "retry after 120 s"),
        (lambda: RetryAfter.from_header("Wed, 21 Oct 2026 07:28:00 GMT"), 30.0, "retry after 30 s"),
        (lambda: RetryAfter.from_header(" 120 "), 120.0, "retry after 120 s"),
        (lambda: RetryAfter.from_header("9" * 400), 366 * 86_400.0, "retry after 31,622,400 s"),
        (lambda: RetryAfter.from_header("Fri, 31 Dec 9999 23:59:59 GMT"), 366 * 86_400.0, "retry after 31,622,400 s"),
        (lambda: RetryAfter.from_header("Wed, 21 Oct 2026 09:28:00 +0200"), 30.0, "retry after 30 s"),
        (lambda: RetryAfter.from_header(None, 60), 60.0, "retry after 60 s"),
        (lambda: RetryAfter.from_header("soon", 60), 60.0, "retry after 60 s"),
        (lambda: RetryAfter.from_header("-5", 60), 60.0, "retry after 60 s"),
    ],
)  # fmt: skip
def test_a_wait_is_given_in_seconds_as_a_time_or_by_a_header(made: Any, seconds: float, said: str) -> None:
    asked = made()
    assert (asked.seconds, str(asked)) == (seconds, said)
    assert pickle.loads(pickle.dumps(asked)).seconds == seconds


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (RetryAfter, "needs seconds or a time"),
        (lambda: RetryAfter(1, at=NOW), "needs seconds or a time"),
        (lambda: RetryAfter(-1), "from 0 to 31,622,400 (a year), not -1"),
        (lambda: RetryAfter(math.nan), "not nan"),
        (lambda: RetryAfter(math.inf), "not inf"),
        (lambda: RetryAfter(1e12), "not 1000000000000.0"),
        (lambda: RetryAfter(10**400), "from 0 to 31,622,400"),
        (lambda: RetryAfter("3"), "not '3'"),  # type: ignore[arg-type]
        (lambda: RetryAfter(at="noon"), "at must be a datetime, not 'noon'"),  # type: ignore[arg-type]
        (lambda: RetryAfter(at=datetime.max.replace(tzinfo=UTC)), "(a year)"),
        (lambda: RetryAfter(at=datetime(9999, 12, 31, tzinfo=timezone(timedelta(hours=-12)))), "(a year), not"),
        (lambda: RetryAfter.from_header(None), "The header Retry-After is missing"),
        (lambda: RetryAfter.from_header("soon"), "says 'soon', which is neither seconds nor an HTTP date"),
    ],
)
def test_any_other_wait_is_refused_with_a_sentence(made: Any, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        made()
    assert said in str(raised.value)
