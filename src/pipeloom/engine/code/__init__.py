"""The code that a run uses, and its renewal while the run goes on."""
