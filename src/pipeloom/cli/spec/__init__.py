"""`pipeloom spec`: the commands, and what they write as JSON, for programs and for the reference."""
