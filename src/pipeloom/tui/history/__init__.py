"""The history screen: runs, attempts, tasks and failures of a file, and what can be done with them."""
