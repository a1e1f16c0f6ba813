"""Sorted numbers that change often: places of a hundred thousand tasks, thousands of moves a second."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice
from typing import Final

_CHUNK: Final = 512


class SortedNumbers:
    """Distinct integers in order, in chunks: adding and removing cost the square root of the size, not the size."""

    def __init__(self, numbers: Sequence[int] = ()) -> None:
        """Begin with `numbers`, which are in order."""
        self._chunks: list[list[int]] = []
        self._tops: list[int] = []
        self._count = 0
        self.extend(numbers)

    def __len__(self) -> int:
        return self._count

    def extend(self, numbers: Sequence[int]) -> None:
        """Add numbers in order, all of them above those that are there."""
        self._count += len(numbers)
        if self._chunks and len(self._chunks[-1]) < _CHUNK:  # else many small additions would be as many chunks
            numbers = [*self._chunks.pop(), *numbers]
            self._tops.pop()
        chunks = [list(numbers[start : start + _CHUNK]) for start in range(0, len(numbers), _CHUNK)]
        self._chunks += chunks
        self._tops += [chunk[-1] for chunk in chunks]

    def add(self, number: int) -> None:
        """Add a number that is not there yet."""
        self._count += 1
        if not self._chunks:
            self._chunks, self._tops = [[number]], [number]
            return
        place = min(bisect_left(self._tops, number), len(self._chunks) - 1)
        chunk = self._chunks[place]
        insort(chunk, number)
        if len(chunk) > 2 * _CHUNK:
            self._chunks[place : place + 1] = [chunk[:_CHUNK], chunk[_CHUNK:]]
            self._tops[place : place + 1] = [chunk[_CHUNK - 1], chunk[-1]]
        else:
            self._tops[place] = chunk[-1]

    def remove(self, number: int) -> None:
        """Remove a number that is there."""
        self._count -= 1
        place = bisect_left(self._tops, number)
        chunk = self._chunks[place]
        del chunk[bisect_left(chunk, number)]
        if chunk:
            self._tops[place] = chunk[-1]
        else:
            del self._chunks[place], self._tops[place]

    def rank(self, number: int) -> int:
        """Return how many numbers are smaller."""
        place = bisect_left(self._tops, number)
        before = sum(map(len, self._chunks[:place]))
        return before + (bisect_left(self._chunks[place], number) if place < len(self._chunks) else 0)

    def slice(self, start: int, stop: int) -> Iterator[int]:
        """Yield the numbers at places `start` to `stop`."""
        ends = list(accumulate(map(len, self._chunks)))
        first = bisect_right(ends, start)
        place = ends[first - 1] if first else 0
        for chunk in islice(self._chunks, first, None):
            if place >= stop:
                return
            yield from chunk[max(start - place, 0) : stop - place]
            place += len(chunk)
