"""The cockpit: everything that knows Textual."""
