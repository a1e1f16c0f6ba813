"""The dialogs of the history that do work: export and retention."""
