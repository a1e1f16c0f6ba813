"""When a task of a run may run: what it comes after."""
