"""Attempts in worker processes."""
