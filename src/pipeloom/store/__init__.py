"""All SQL: `file` tells what a file is, `read` queries it, `write` changes it in a run, `maintenance` otherwise."""
