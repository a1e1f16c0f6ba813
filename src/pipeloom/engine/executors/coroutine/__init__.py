"""Attempts as coroutines on the event loop of one thread."""
