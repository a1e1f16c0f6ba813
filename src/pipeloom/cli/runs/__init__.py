"""Runs in words: `state` is how one stands, `command` lists them, `one` shows one with its own log."""
