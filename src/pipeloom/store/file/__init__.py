"""A database file before and while it is used: its kind, owner, identity and file system."""
