"""What the live screen and the history share: a screen with a table of attempts, its columns, the detail of one."""
