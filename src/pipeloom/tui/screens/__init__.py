"""The screens: thin coordinators between widgets, board and engine."""
