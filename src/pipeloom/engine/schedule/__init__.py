"""When a task of a run may run, and which one is next: what it comes after, limits, and attempts that are ready."""
