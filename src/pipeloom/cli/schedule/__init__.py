"""What the command line has of schedules: options, runs in turn, `pipeloom unit`."""
