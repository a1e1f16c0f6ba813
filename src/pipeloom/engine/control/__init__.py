"""Commands from other processes of the same user: files beside the database, never through SQLite."""
