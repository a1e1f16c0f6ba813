"""A local API for the jobs: `python examples/jobs/server.py` prints its address and serves until ctrl+c.

`/orders/REGION?page=N` answers with the orders of a page and the number of the next one. Each region takes four
requests a second; one more is answered with 429 and `Retry-After: 1`.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict, deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from urllib.parse import parse_qs, urlsplit

REGIONS, PAGES, ORDERS = ("eu", "us", "asia"), 5, 20
PER_SECOND = 4
_recent: dict[str, deque[float]] = defaultdict(deque)
_lock = Lock()


class Api(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with a page of orders, or with 429."""
        url = urlsplit(self.path)
        region, page = url.path.rpartition("/")[2], int(parse_qs(url.query).get("page", ["1"])[0])
        if region not in REGIONS:
            self._answer(404, {"error": f"no region {region}"})
        elif self._is_too_soon(region):
            self._answer(429, {"error": "too many requests"})
        else:
            orders = [{"id": f"{region}-{page}-{n}", "region": region, "total": n * 1.5} for n in range(ORDERS)]
            self._answer(200, {"orders": orders, "next": page + 1 if page < PAGES else None})

    def _is_too_soon(self, region: str) -> bool:
        with _lock:
            recent, now = _recent[region], time.monotonic()
            while recent and recent[0] < now - 1:
                recent.popleft()
            if len(recent) >= PER_SECOND:
                return True
            recent.append(now)
            return False

    def _answer(self, status: int, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class has it
        """Write nothing."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
