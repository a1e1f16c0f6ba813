"""What pipeloom raises. Everything a person can mend derives from `PipeloomError` and says how."""

from __future__ import annotations


class PipeloomError(Exception):
    """Base of the errors whose text is meant for the person at the keyboard."""


class UsageError(PipeloomError):
    """The call or the command line asks for something that cannot be: nothing was started, nothing written."""


class StoreError(PipeloomError):
    """The database file cannot be used as asked."""


class DamagedFileError(StoreError):
    """The database file has lost content, or is no database: it is left as it is."""


class FileBusyError(StoreError):
    """Another process owns the file for writing."""


class ControlError(PipeloomError):
    """Another process that runs a pipeline could not be asked, or has refused."""


class MessageError(PipeloomError):
    """A worker published a message that cannot be kept; raised by its own `q.put`."""


class WriterFailedError(PipeloomError):
    """The writer thread has ended: nothing more can be saved, so every `q.put` raises this."""


class TaskCancelled(BaseException):
    """Raised inside a worker, by the methods of its channel, once its task is asked to stop.

    Derives from `BaseException`, like `asyncio.CancelledError`, so that a worker's `except Exception` lets it pass.
    """
