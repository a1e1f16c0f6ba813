"""Where attempts run: one protocol, several backends."""
