"""Attempts as files: tables (CSV, JSON lines, Markdown) and the case file of one attempt."""
