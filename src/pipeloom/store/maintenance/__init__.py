"""Changes to a file outside of a run: retention and recovery."""
