"""Runs a pipeline: one engine has a run, a writer thread, an executor and a control server."""
