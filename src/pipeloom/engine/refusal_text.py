"""The English of refusals: for the screens, for scripts, and for the record of commands in the file."""

from __future__ import annotations

from typing import Final

from pipeloom.engine.commands import Refusal, RefusalReason

_TEXT: Final = {
    RefusalReason.NOT_FOUND: "it is not an attempt of this run",
    RefusalReason.NOT_ENDED: "it has not ended yet",
    RefusalReason.QUEUED: "it is queued already",
    RefusalReason.RETRIED: "it has been retried already",
    RefusalReason.NOT_CANCELLING: "only an attempt that was asked to stop can be abandoned",
    RefusalReason.CLOSING: "the run is being closed",
}


def refusal_text(refusal: Refusal) -> str:
    """Return the reason as a clause."""
    match refusal.reason:
        case RefusalReason.ENDED:
            return f"it has ended already: {refusal.status}"
        case RefusalReason.WAITS:
            return f"{refusal.detail}: run that again, and this one follows"
        case RefusalReason.EXECUTOR_LOST:
            return refusal.detail
        case reason:
            return _TEXT[reason]
