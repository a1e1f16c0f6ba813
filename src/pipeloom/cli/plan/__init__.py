"""`pipeloom plan`: `command` decides as a run would, `told` says it as text and as JSON."""
