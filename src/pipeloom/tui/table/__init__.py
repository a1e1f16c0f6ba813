"""A table that draws only the visible rows of any source."""
