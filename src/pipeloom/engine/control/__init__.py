"""Commands from other processes of the same user: handed over as files beside the database, never through SQLite."""
