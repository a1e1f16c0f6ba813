"""Screens that show one report of a file: timeline, charts, comparisons."""
