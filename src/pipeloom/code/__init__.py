"""The code of a pipeline as it was loaded: its sources, its version, and pickles that name its classes."""
