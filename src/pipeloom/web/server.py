"""The server of the pages: textual-serve, with an address that only its user knows; nothing comes from elsewhere."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import re
import secrets
import shlex
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from aiohttp import web
from textual_serve.server import Server

from pipeloom.errors import UsageError

_TEMPLATES: Final = Path(__file__).with_name("templates")
_SCRIPT: Final = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LAST_PORT: Final = 65_535
_NOT_YOURS: Final = "Open the address that `pipeloom web` has printed, with its token.\n"


class CockpitServer(Server):
    """Serves the cockpit of one file. Each page has a process of its own."""

    def __init__(self, db: Path, host: str, port: int, *, control: bool, announce: Callable[[str], None]) -> None:
        """Serve on `host` and `port`; with `control` pages act on the run. `announce` takes the address at the start.

        The address has a token, which a cookie keeps. A page of another site can neither read nor send it, and without
        it there is no connection: neither another user of the machine nor another page of the browser gets in.
        """
        command = [sys.executable, "-m", "pipeloom.web.tab", str(db), *(["--control"] if control else [])]
        named = f"[{host}]" if ":" in host else host
        super().__init__(
            f"exec {shlex.join(command)}",
            host=host,
            port=port,
            title=db.name,
            public_url=f"http://{named}:{port}",
            templates_path=_TEMPLATES,
        )
        self._token = secrets.token_urlsafe(16)
        self._cookie = f"pipeloom-{port}"
        self._announce = announce
        self.ended_by: int | None = None
        """The number of the signal that has ended it."""
        self._ignored = {number for number in _ENDING if signal.getsignal(number) is signal.SIG_IGN}
        self._pages: set[asyncio.Task[object]] = set()
        """What serves the pages that are open."""

    @property
    def address(self) -> str:
        """The address of the page."""
        return f"{self.public_url}/?token={self._token}"

    def initialize_logging(self) -> None:
        """Leave logging as it is: textual-serve's own would show local variables."""

    async def on_startup(self, app: web.Application) -> None:  # noqa: ARG002 - the server calls it with it
        """Tell the address, and take the signals that end it: none that was ignored (`nohup`, `&` in a script)."""
        loop = asyncio.get_running_loop()
        for number in _ENDING:
            if number in self._ignored:
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_IGN)
            else:
                loop.add_signal_handler(number, self._end_by, number)
        self._announce(self.address)

    def _end_by(self, number: int) -> None:
        self.ended_by = number
        self.request_exit()

    async def on_shutdown(self, app: web.Application) -> None:  # noqa: ARG002 - the server calls it with it
        """End the pages: the server would wait for their users."""
        for page in self._pages:
            page.cancel()

    async def handle_index(self, request: web.Request) -> web.StreamResponse:
        """Give the page to who has the token, and keep it in the cookie."""
        if self._is_right(request.query.get("token", "")):
            response = web.Response(status=302, headers={"Location": "/"})
            response.set_cookie(self._cookie, self._token, httponly=True, samesite="Strict")
            return response
        self._check(request)
        page: web.StreamResponse = await super().handle_index(request)
        page.headers["Content-Security-Policy"] = self._policy()
        page.headers["Referrer-Policy"] = "no-referrer"
        page.headers["Cache-Control"] = "no-store"
        return page

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Connect a page of ours with a process."""
        self._check(request)
        if request.headers.get("Origin") != self.public_url:
            raise web.HTTPForbidden(text=_NOT_YOURS)
        page = asyncio.current_task()
        assert page is not None
        self._pages.add(page)
        try:
            return await super().handle_websocket(request)
        finally:
            self._pages.discard(page)

    async def handle_download(self, request: web.Request) -> web.StreamResponse:
        """Give a file that a page of ours has asked for."""
        self._check(request)
        return await super().handle_download(request)

    def _policy(self) -> str:
        """Return what the page may load: what comes from here, and its own script by its hash."""
        scripts = _SCRIPT.findall((_TEMPLATES / "app_index.html").read_text(encoding="utf-8"))
        hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
        own = " ".join(f"'sha256-{one}'" for one in hashes)
        socket = self.public_url.replace("http", "ws", 1)
        return (
            f"default-src 'self'; script-src 'self' {own}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
            f"connect-src 'self' {socket}; frame-ancestors 'none'"
        )

    def _check(self, request: web.Request) -> None:
        if not self._is_right(request.cookies.get(self._cookie, "")):
            raise web.HTTPForbidden(text=_NOT_YOURS)

    def _is_right(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self._token.encode())


def free_port(host: str, port: int) -> int:
    """Return a port that can be listened on, any for 0; raises `UsageError` where there is none on that host."""
    if port > _LAST_PORT:
        raise UsageError(f"There is no port {port}: the last one is {_LAST_PORT}.")
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.create_server(place[:2], family=family) as found:
            return int(found.getsockname()[1])
    except OSError as error:
        why = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise UsageError(
            f"Nothing can listen on {host}, port {port}: {why}. Choose another one with --port."
        ) from error


def serve(server: CockpitServer) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP."""
    asyncio.set_event_loop(asyncio.new_event_loop())
    server.serve()
