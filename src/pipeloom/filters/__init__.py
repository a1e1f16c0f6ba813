"""The one filter grammar: for live rows, for the history and for the command line.

A filter is a list of terms, all of which must hold; `-` before a term negates it::

    orders "two words"          in the name or the message, in any case of ASCII letters
    status:error,cancelled      one of these          run:12,14   task:17   attempt:>1
    rows:0  rows:>1000          rows that it has written; rows:odd: far from what is usual for the task
    task:5..9  task:a..c        numbers in the order of numbers, texts in that of texts; in quotes: a text
    dur:>5m  dur:10s..1m        how long it ran       age:<2h     since its start, or since it was queued
    started:2026-08-01..        a day, an instant, a range of them, `today` or `yesterday`; in the
                                user's zone where none is written
    err:KeyError                in the error's type or text            worker:worker-2
    fail:1a2b3c4d5e6f           one group of the failures       name:"whole name"  ("" in it for a quote)
    pipeline:extract,load       of the runs of these pipelines         code:3ef44d5d      ran this code

`grammar` parses a text into conditions; `sql` makes SQL of them for the history, `predicate` a test of live rows. Both
give the same answer for the same row. What a row does not have (no duration yet) fulfils no condition, so a negated
term keeps the row.
"""

from pipeloom.filters.filter import Filter, Term
from pipeloom.filters.grammar import FIELDS, MAX_LENGTH, TOO_LONG, FilterError, completions, parse, quoted, words
from pipeloom.filters.selections import attempts_filter, failures_filter, marked_filter, status_filter, with_attempt

__all__ = [
    "FIELDS",
    "MAX_LENGTH",
    "TOO_LONG",
    "Filter",
    "FilterError",
    "Term",
    "attempts_filter",
    "completions",
    "failures_filter",
    "marked_filter",
    "parse",
    "quoted",
    "status_filter",
    "with_attempt",
    "words",
]
