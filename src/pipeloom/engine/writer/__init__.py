"""The writer's side: the queue, the fold of a batch, the thread that commits, and the sinks that are told."""
