"""The cockpit: Textual screens over engine and history."""
