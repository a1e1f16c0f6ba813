"""The user's settings file: read, and the part of it that programs without a screen use."""
