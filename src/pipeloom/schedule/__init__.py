"""When a pipeline is run again by itself: every so long, at times of day, or when files come to a folder."""
