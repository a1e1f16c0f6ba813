"""The live screen: the run as it goes."""
