"""The readers' side: read-only connections and every query of the front ends."""
