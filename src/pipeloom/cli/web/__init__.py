"""`pipeloom web`."""
