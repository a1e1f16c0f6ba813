"""The past of a task and the days of a file, as charts."""
