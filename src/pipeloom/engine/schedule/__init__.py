"""Which attempt runs next: limits, and attempts that are ready. Guarded by the run's lock; no threads, no I/O."""
