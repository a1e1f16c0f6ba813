"""What leaves the screen: texts for the clipboard, and the command that returns to a place."""
