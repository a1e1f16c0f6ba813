"""The cockpit: Textual screens over engine and history."""

from __future__ import annotations

import os

# Read by Textual when it is imported. A key that comes just after a paint waits for up to two frames: at the usual 60 a
# second that is more than all else that stands between key and paint. Where nothing changes, nothing is painted.
os.environ.setdefault("TEXTUAL_FPS", "240")
