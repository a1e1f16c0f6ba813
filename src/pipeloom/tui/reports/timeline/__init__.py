"""A run in time: one lane per worker."""
