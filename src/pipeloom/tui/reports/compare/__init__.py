"""Two runs or two attempts side by side."""
