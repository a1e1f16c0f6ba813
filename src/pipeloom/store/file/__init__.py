"""The database file itself: its kind, owner, identity and file system."""
