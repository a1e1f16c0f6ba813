"""The private names that the adapters use, and whether the installed Textual still has them as expected."""

from __future__ import annotations

import inspect
import logging
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_log = logging.getLogger(__name__)

SET: Final = "set by __init__"
"""Expected of an attribute: the `__init__` of its class sets it."""
TABLE: Final = "a table"
"""Expected of a name: it is a mapping."""


@dataclass(frozen=True, slots=True)
class Contract:
    """One private name that an adapter uses, what it must look like, and the feature that needs it."""

    adapter: str
    name: str
    """`module:Class.attribute`."""
    expected: str
    """The parameters of a method, without types; or `SET`; or `TABLE`; or "calls" and the method that it calls."""
    feature: str

    def fault(self) -> str | None:
        """Return what differs from the expectation; None when it holds."""
        where, _, attribute = self.name.rpartition(".")
        try:
            if self.expected == SET:
                init = pkgutil.resolve_name(where).__init__
                return None if attribute in init.__code__.co_names else "is not set"
            found = pkgutil.resolve_name(self.name)
            if self.expected == TABLE:
                return None if isinstance(found, Mapping) else f"is no longer {TABLE}"
            if self.expected.startswith("calls "):
                called = self.expected.removeprefix("calls ")
                return None if called in found.__code__.co_names else f"does not call {called}"
            parameters = _parameters(found)
        except (ImportError, AttributeError):
            return "is missing"
        except (TypeError, ValueError):
            return "is no method of Python"
        return None if parameters == self.expected else f"has the parameters {parameters}"


def _parameters(function: object) -> str:
    signature = inspect.signature(function)  # type: ignore[arg-type]
    plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    return str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))


_LINUX: Final = "textual.drivers.linux_driver:LinuxDriver"
_DRIVER: Final = "textual.driver:Driver"
_PARSER: Final = "textual._xterm_parser:XTermParser"
_APP: Final = "textual.app:App"

CONTRACTS: Final = (
    Contract("driver", f"{_LINUX}._run_input_thread", "(self)", "the thread of the keyboard ends at once"),
    Contract("driver", f"{_LINUX}._sigtstp_application", "(self, *_)", "ctrl+z is handled on the event loop"),
    Contract("driver", f"{_LINUX}._sigcont_application", "(self, *_)", "going on is handled on the event loop"),
    Contract("driver", f"{_LINUX}._must_signal_resume", SET, "going on after SIGSTOP starts no second reader"),
    Contract("driver", f"{_LINUX}._key_thread", SET, "keys are read only where Textual has taken the terminal"),
    Contract("driver", f"{_LINUX}._file", SET, "the screen is written to the terminal that Textual writes to"),
    Contract("driver", f"{_LINUX}._get_terminal_size", "(self)", "an exported COLUMNS is no size of the terminal"),
    Contract("driver", f"{_DRIVER}._auto_restart", SET, "a suspended screen is not resumed by a signal"),
    Contract("driver", f"{_DRIVER}._loop", SET, "keys are read, and the screen is written, on the event loop"),
    Contract("driver", f"{_DRIVER}._app", SET, "keys reach the app without a thread"),
    Contract("driver", f"{_DRIVER}._debug", SET, "Textual's log of keys"),
    Contract("driver", f"{_PARSER}.__init__", "(self, debug=False)", "keys are parsed"),
    Contract("driver", f"{_PARSER}.feed", "(self, data)", "keys are parsed"),
    Contract("driver", f"{_PARSER}.tick", "(self)", "an escape that nothing follows is a key"),
    Contract("driver", "textual._ansi_sequences.ANSI_SEQUENCES_KEYS", TABLE, "only what is a key reaches the app"),
    Contract("driver", f"{_APP}._handle_exception", "(self, error)", "an error in the reading of keys is a crash"),
    Contract("event loop", "asyncio.base_events:BaseEventLoop._run_once", "(self)", "the loop keeps its turn"),
    Contract("key dispatch", f"{_APP}._check_bindings", "(self, key, priority=False)", "no key after / is lost"),
    Contract("crash page", f"{_APP}._fatal_error", "(self)", "a crash is told without local variables"),
    Contract("crash page", f"{_APP}._handle_exception", "calls _fatal_error", "every crash gets there"),
    Contract("crash page", f"{_APP}._exception", SET, "the log has the traceback of a crash"),
    Contract("crash page", f"{_APP}._close_messages_no_wait", "(self)", "the screen ends after a crash"),
    Contract("table size", "textual.widget:Widget._scroll_update", "(self, virtual_size)", "rows come with no layout"),
    Contract(
        "notice",
        f"{_APP}._driver",
        SET,
        "the desktop tells the end of a long run, and what leaves by force draws no more",
    ),
)
"""Every private name of Textual that pipeloom uses, and one of asyncio."""


def holds(adapter: str) -> bool:
    """Return whether all contracts of `adapter` hold; log the first that does not."""
    for contract in CONTRACTS:
        if contract.adapter == adapter and (fault := contract.fault()) is not None:
            from importlib.metadata import version

            _log.warning(
                "The %s is Textual's own: with Textual %s, %s %s.", adapter, version("textual"), contract.name, fault
            )
            return False
    return True
