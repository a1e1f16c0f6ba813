"""What a message weighs: the queue's bounds count what it really holds, whatever its class is."""

from __future__ import annotations

import io
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from tests.engine.conftest import Bench

from pipeloom.engine.worker.weight import weight
from pipeloom.messages import TaskDef
from pipeloom.pipeline import Pipeline
from pipeloom.protocols import Channel

MIB = 1 << 20


@dataclass(frozen=True)
class Frame:
    data: Any


class Plain:
    def __init__(self, held: object) -> None:
        self.held = held


class Sized:
    __slots__ = ("held",)

    def __init__(self, held: int) -> None:
        self.held = held

    def __sizeof__(self) -> int:
        return self.held


class Lying:
    """Each way to ask it for its size fails, and it holds something all the same."""

    def __init__(self) -> None:
        self.held = "x" * MIB

    @property
    def nbytes(self) -> int:
        raise SystemExit

    def memory_usage(self, *, deep: bool = False) -> Any:
        raise KeyboardInterrupt

    def estimated_size(self) -> Any:
        return "much"

    def __sizeof__(self) -> int:
        raise GeneratorExit


HOLDS_A_MIB: dict[str, Callable[[], Any]] = {
    "pandas frame": lambda: pd.DataFrame({"a": np.zeros(MIB // 16), "b": np.zeros(MIB // 16)}),
    "pandas frame of strings": lambda: pd.DataFrame(
        {"a": [f"{number:0951}" for number in range(1 << 10)]}, dtype=object
    ),
    "pandas series": lambda: pd.Series(np.zeros(MIB // 8)),
    "pandas index": lambda: pd.Index(np.zeros(MIB // 8)),
    "polars frame": lambda: pl.DataFrame({"a": np.zeros(MIB // 8)}),
    "polars series": lambda: pl.Series(np.zeros(MIB // 8)),
    "arrow table": lambda: pa.table({"a": np.zeros(MIB // 8)}),
    "arrow array": lambda: pa.array(np.zeros(MIB // 8)),
    "numpy array": lambda: np.zeros(MIB // 8),
    "numpy view": lambda: np.zeros(MIB // 4)[::2],
    "memoryview": lambda: memoryview(bytes(MIB)),
    "array": lambda: array("d", bytes(MIB)),
    "deque": lambda: deque(["x" * (1 << 10)] * (1 << 10)),
    "BytesIO": lambda: io.BytesIO(bytes(MIB)),
    "own size": lambda: Sized(MIB),
    "no way but its attributes": Lying,
    "attributes": lambda: Plain("x" * MIB),
}


@pytest.mark.parametrize("made", HOLDS_A_MIB.values(), ids=HOLDS_A_MIB)
def test_a_message_weighs_what_it_holds(made: Callable[[], Any]) -> None:
    value = made()
    for msg in (value, Frame(value), Frame([value])):
        assert 0.9 * MIB < weight(msg) < 1.5 * MIB


class Opaque:
    """Holds its data where Python does not see it: pickling alone tells."""

    __slots__ = ()

    def __reduce__(self) -> Any:
        return bytes, (bytes(3 * MIB),)


def test_an_unknown_object_is_weighed_by_its_pickle_up_to_a_bound() -> None:
    assert weight(Frame(Opaque())) > 3 * MIB

    class Endless(Opaque):
        __slots__ = ()

        def __reduce__(self) -> Any:
            return list, (), None, iter(lambda: bytes(MIB), None)

    assert 64 * MIB < weight(Frame(Endless())) < 70 * MIB


def test_a_frame_that_is_too_large_is_refused_with_its_size(bench: Bench) -> None:
    pipeline = Pipeline("p", [], print)
    pipeline.handler(Frame)(lambda conn, msg: None)

    def work(task: TaskDef, q: Channel) -> None:
        q.put(Frame(pd.DataFrame({"a": np.zeros(20 * MIB // 8)})))

    engine = bench.engine(work, 1, pipeline=pipeline)
    engine.start()
    assert engine.wait(20)
    assert "Frame holds about 20 MiB; at most 8 are taken: publish smaller batches" in bench.one("error")
