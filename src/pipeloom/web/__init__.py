"""The cockpit as a page: the server, and the process behind each open page."""
