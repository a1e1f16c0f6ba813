"""All SQL: `file` says what a file is, `read` and `write` use it, `maintenance` cleans it."""
