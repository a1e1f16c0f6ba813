"""Runs a pipeline: the dispatcher, the executors, and the one thread that writes."""
