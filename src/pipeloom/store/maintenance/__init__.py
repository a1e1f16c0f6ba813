"""What changes a file outside of a run: retention and recovery."""
