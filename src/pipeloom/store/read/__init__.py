"""Read-only connections, and the queries of the front ends, a module for each subject."""
