"""Widgets without knowledge of the engine: they are given data, and say what the user asks for."""
