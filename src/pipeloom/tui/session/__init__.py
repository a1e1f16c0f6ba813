"""What the app has besides screens: the live feed, the engine or the run of another process, the watch on the file."""
