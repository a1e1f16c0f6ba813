"""One run: its attempts, the steps that change them, and what commands, executor and writer report to it."""
